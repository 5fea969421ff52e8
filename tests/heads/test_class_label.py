import math

import pytest
import timm
import torch
import torch.nn.functional as F

from lightning_pose import parts
from lightning_pose.backbones import UNet
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features
from lightning_pose.heads import ClassHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import LABELS, make_batch, training_step


def model(head):
    torch.manual_seed(0)
    return PoseModule(UNet(width=4), {"activity": head}, LSP14, InputSpec((64, 64)), LABELS)


def test_the_loss_is_the_cross_entropy_of_the_known_classes():
    head = model(ClassHead("activity")).heads["activity"]
    batch = make_batch(4)
    batch.labels["activity"] = torch.tensor([2, -1, 0, 1])
    output = torch.randn(4, 3, requires_grad=True)
    terms = head.loss(output, head.encode(batch, output))
    known = [0, 2, 3]
    expected = F.cross_entropy(output[known], batch.labels["activity"][known])
    torch.testing.assert_close(terms.mean(), expected)
    assert terms.weight.item() == 3
    terms.mean().backward()
    assert not output.grad[1].any()
    zeros = torch.zeros(4, 3)
    assert float(head.loss(zeros, head.encode(batch, zeros)).mean()) == pytest.approx(math.log(3))


def test_probabilities_are_a_softmax_of_the_output():
    head = ClassHead("activity")
    output = torch.tensor([[0.0, math.log(3.0)]])
    found = head.decode(output, (64, 64)).probabilities
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75]]))


@pytest.mark.parametrize("classifier", [None, "test_resnet"])
def test_it_learns_the_classes_of_a_few_people(classifier):
    module = model(ClassHead("activity", "dense", hidden=16, classifier=classifier))
    batch = make_batch(3)
    batch.image[1] = 255 - batch.image[1]
    batch.image[2] = batch.image[2] // 3
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=0.01)
    for _ in range(60):
        loss = training_step(module, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2
    assert module.eval()(batch.image)["activity"].argmax(dim=1).tolist() == [0, 1, 2]


def test_the_classifier_sees_the_image_before_the_models_own_normalisation():
    outputs = []
    for mean in (0.5, 0.1):
        head = ClassHead("activity", classifier="test_resnet")
        torch.manual_seed(0)
        module = PoseModule(
            UNet(width=4), {"a": head}, LSP14, InputSpec((64, 64)), LABELS, mean=[mean] * 3
        ).eval()
        features = module.network.features(make_batch(2).image)
        blank = Features(
            torch.zeros_like(features.dense), torch.zeros_like(features.deep), rgb=features.rgb
        )
        outputs.append(head(blank))
    torch.testing.assert_close(*outputs)


def test_a_checkpoint_holds_the_classifier_and_not_where_it_came_from(tmp_path):
    path = tmp_path / "classifier.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    module = model(ClassHead("activity", classifier="test_resnet", pretrained=str(path))).eval()
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, tmp_path / "a.ckpt")
    path.unlink()
    again = PoseModule.load_from_checkpoint(tmp_path / "a.ckpt")
    image = make_batch(2).image
    torch.testing.assert_close(again(image), module(image))
    assert parts.describe(module.heads["activity"])["init_args"]["pretrained"] is None
    # Nor does a checkpoint that was changed to name a source get it read.
    spec = module.spec()
    spec.heads["activity"]["init_args"]["pretrained"] = "imagenet"
    assert spec.to_config()["heads"]["activity"]["init_args"]["pretrained"] is None


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            lambda: ClassHead("sport"),
            r"a label with classes in the data, found 'sport', which is not",
        ),
        (
            lambda: ClassHead("height"),
            r"found 'height', which is a number: use ValueHead; name one",
        ),
        (lambda: ClassHead("activity", hidden=0), r"ClassHead.hidden of 1 or more, found 0"),
        (lambda: ClassHead("activity", classifier="resnot"), r"of timm, found 'resnot'; did you"),
        (lambda: ClassHead("activity", pretrained="imagenet"), r"classifier with pretrained 'imag"),
    ],
)
def test_bad_settings_are_refused(head, message):
    with pytest.raises(ConfigError, match=message):
        model(head())


def test_data_without_any_class_are_refused():
    with pytest.raises(ConfigError, match="add it to the data, or leave the head out"):
        PoseModule(UNet(width=4), {"a": ClassHead("a")}, LSP14, InputSpec((64, 64)))


def test_an_unknown_map_is_refused():
    # Past the run-time type checks of these tests.
    with pytest.raises(
        ConfigError, match=r"ClassHead\.feature_map to be one of .*, found 'finest'"
    ):
        ClassHead.__init__.__wrapped__(ClassHead.__new__(ClassHead), "activity", "finest")
