import math

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.errors import ConfigError
from lightning_pose.heads import MaskHead, SharedHeatmapHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch
from tests.heads.labels import build, make_features, make_labels

SIZE = (48, 64)


def example(**settings):
    """A head, a batch in which every joint is labelled, and an output."""
    head, batch = build(SharedHeatmapHead(**settings), SIZE), make_labels(SIZE)
    batch.keypoints = torch.rand(3, LSP14.num_joints, 2) * torch.tensor([64, 48]) - 0.5
    batch.visibility.fill_(2)
    batch.source_visibility = batch.visibility.clone()
    return head, batch, head(make_features(SIZE, 3)).detach()


def test_the_target_is_as_high_as_the_scale_and_the_prediction_as_high_as_1():
    head, batch, output = example(scale=30.0)
    value = head.encode(batch, output).value
    assert value.amax(dim=(1, 2, 3)).tolist() == pytest.approx([30.0] * 3)
    torch.testing.assert_close(head.decode(value, SIZE).heatmap, value / 30)


def test_the_loss_is_the_mean_squared_error_of_the_pixels():
    head, batch, output = example()
    target = head.encode(batch, output)
    expected = torch.nn.functional.mse_loss(output, target.value)
    torch.testing.assert_close(head.loss(output, target).mean(), expected)


def test_a_person_with_an_unlabelled_joint_is_left_out():
    head, batch, output = example()
    batch.visibility[1, 3] = batch.source_visibility[1, 3] = 0
    weight = head.encode(batch, output).weight.amax(dim=(1, 2, 3))
    assert weight.tolist() == [1, 0, 1]


def test_a_joint_outside_the_crop_is_known_not_to_be_in_it():
    head, batch, output = example()
    before = head.encode(batch, output).value
    batch.visibility[1, 3] = 0  # In the source, it is labelled.
    target = head.encode(batch, output)
    assert target.weight.all()
    assert not torch.equal(target.value, before)


def test_zero_trains_a_map_without_the_unlabelled_joints():
    head, batch, output = example(unlabelled="zero")
    batch.visibility[1, 3:] = batch.source_visibility[1, 3:] = 0
    batch.visibility[2] = batch.source_visibility[2] = 0
    target = head.encode(batch, output)
    assert target.weight.amax(dim=(1, 2, 3)).tolist() == [1, 1, 0]
    for joint in range(14):
        x, y = ((batch.keypoints[1, joint] + 0.5) / 4).floor().int().tolist()
        near = torch.cdist(batch.keypoints[1, joint][None], batch.keypoints[1, :3]).min()
        if joint < 3 or near > 20:
            assert (target.value[1, 0, y, x] > 1) == (joint < 3)


def learnt(scale: float) -> float:
    """How much of the map 60 steps explain beside a mask: 1 all, 0 or less no more than zeros."""
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": SharedHeatmapHead(sigma=1.0, scale=scale)}
    backbone = UNet(8, dropout=0.0, batch_norm=False)
    model = PoseModule(backbone, heads, LSP14, InputSpec((48, 48))).train()
    batch, head = make_batch(1, (48, 48)), model.heads["heatmap"]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for _ in range(60):
        outputs = model(batch.image)
        terms = model.network.losses(outputs, batch)
        optimizer.zero_grad()
        (terms["mask"].mean() + terms["heatmap"].mean()).backward()
        optimizer.step()
    output = outputs["heatmap"].detach()
    target = head.encode(batch, output)
    zeros = head.loss(torch.zeros_like(output), target).mean()
    return 1 - (head.loss(output, target).mean() / zeros).item()


def test_beside_a_mask_the_map_is_learnt_at_scale_100_and_lost_at_scale_1():
    assert learnt(scale=1.0) < 0
    assert learnt(scale=100.0) > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "sigma above 0, found 0.0"),
        ({"sigma": math.nan}, "sigma above 0, found nan"),
        ({"scale": -1.0}, "scale above 0, found -1.0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SharedHeatmapHead(**settings)
