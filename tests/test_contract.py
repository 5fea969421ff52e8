"""The contract that every head and every backbone keeps; a new one adds one row here."""

from collections.abc import Callable

import pytest
import torch

from lightning_pose import backbones, heads
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch, training_step

BACKBONES: dict[str, Callable[[], backbones.Backbone]] = {
    "unet": lambda: backbones.UNet(width=4),
    "smp": lambda: backbones.SMPBackbone(encoder="tu-test_efficientnet", decoder="FPN"),
}

HEADS: dict[str, Callable[[], heads.Head]] = {
    "regression": heads.RegressionHead,
    "heatmap": heads.HeatmapHead,
    "heatmap_mse": lambda: heads.HeatmapHead(criterion="mse"),
    "mask": heads.MaskHead,
    "mask_fine": lambda: heads.MaskHead(channels=4, max_stride=2),
    "softmax_joint": heads.SoftmaxJointHead,
}

CASES = [[name] for name in HEADS] + [list(HEADS)]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("names", CASES, ids=lambda names: "+".join(names))
@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_any_head_works_on_any_backbone(
    backbone: str, names: list[str], precision: torch.dtype
) -> None:
    size = (64, 49)
    torch.manual_seed(0)
    chosen = {name: HEADS[name]() for name in names}
    model = PoseModule(BACKBONES[backbone](), chosen, LSP14.to_dict(), size)
    batch = make_batch(2, size)
    with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
        total = training_step(model, batch)
        predictions = model.eval().predict(batch.image)
    assert total.isfinite()
    assert total.dtype == torch.float32
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for name, head in chosen.items():
        prediction = predictions[name]
        if head.predicts == "mask":
            assert prediction.mask is not None
            assert prediction.mask.shape == (2, *size)
            assert prediction.mask.min() >= 0
            assert prediction.mask.max() <= 1
        else:
            assert prediction.keypoints is not None
            assert prediction.scores is not None
            assert prediction.keypoints.shape == (2, LSP14.num_joints, 2)
            assert prediction.keypoints.isfinite().all()
            assert prediction.scores.min() >= 0
            assert prediction.scores.max() <= 1


@pytest.mark.parametrize("name", list(HEADS))
def test_what_is_not_labelled_does_not_teach(name: str) -> None:
    size = (64, 64)
    torch.manual_seed(0)
    model = PoseModule(backbones.UNet(width=4), {name: HEADS[name]()}, LSP14.to_dict(), size)
    batch = make_batch(2, size)
    batch.visibility[:] = 0
    batch.keypoints[:] = 0
    batch.mask[:] = -1
    total = training_step(model, batch)
    total.backward()
    assert total.item() == 0
    for parameter in model.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("name", list(HEADS))
def test_a_person_without_labels_does_not_teach_beside_one_with_them(name: str) -> None:
    size = (64, 64)
    torch.manual_seed(0)
    model = PoseModule(backbones.UNet(width=4), {name: HEADS[name]()}, LSP14.to_dict(), size).eval()
    batch, alone = make_batch(2, size), make_batch(1, size)
    batch.visibility[1] = 0
    # Wherever an unlabelled joint is said to be, it is not looked at.
    batch.keypoints[1] = 20
    batch.mask[1] = -1
    head, output = model.heads[name], model(batch.image)[name]
    expected = head.loss(output[:1], head.encode(alone, output[:1].shape))
    assert expected > 0
    torch.testing.assert_close(head.loss(output, head.encode(batch, output.shape)), expected)


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize(("backbone", "edge"), [("unet", 48), ("smp", 48), ("smp", 50)])
def test_padding_does_not_teach(backbone: str, edge: int, name: str) -> None:
    # From column 50 on, half of a cell of stride 4 is padding.
    size = (64, 64)
    torch.manual_seed(0)
    heads = {name: HEADS[name]()}
    model = PoseModule(BACKBONES[backbone](), heads, LSP14.to_dict(), size).eval()
    batch = make_batch(2, size)
    head, output = model.heads[name], model(batch.image)[name]
    batch.valid[:, :, edge:] = False
    outside = batch.keypoints[..., 0] >= edge - 1
    batch.visibility[outside] = 0
    before = head.loss(output, head.encode(batch, output.shape))
    batch.mask[:, :, edge:] = 1
    batch.keypoints[outside] += 3
    if output.dim() == 4:  # A map: what it says of the padding is nothing that it learns from.
        output[:, :, :, -(-edge * output.shape[3] // 64) :] += 5
    after = head.loss(output, head.encode(batch, output.shape))
    torch.testing.assert_close(before, after)
