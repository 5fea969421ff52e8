"""The contract of every head and every backbone; a new one adds one row here."""

from collections.abc import Callable

import pytest
import torch

from lightning_pose import backbones, heads
from lightning_pose.input_spec import InputSpec
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


def test_every_head_and_every_backbone_has_a_row() -> None:
    for room, base, rows in (
        (heads, heads.Head, HEADS),
        (backbones, backbones.Backbone, BACKBONES),
    ):
        exported = [getattr(room, name) for name in room.__all__]
        ours = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, base)}
        assert ours - {base} <= {type(make()) for make in rows.values()}


CASES = [[name] for name in HEADS] + [list(HEADS)]


def build(backbone: str, names: list[str], size: tuple[int, int]) -> PoseModule:
    torch.manual_seed(0)
    chosen = {name: HEADS[name]() for name in names}
    return PoseModule(BACKBONES[backbone](), chosen, LSP14, InputSpec(size))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("names", CASES, ids=lambda names: "+".join(names))
@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_any_head_works_on_any_backbone(
    backbone: str, names: list[str], precision: torch.dtype
) -> None:
    size = (64, 49)
    model = build(backbone, names, size)
    batch = make_batch(2, size)
    with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
        total = training_step(model, batch)
        predictions = model.predict(batch.image)
    assert total.isfinite()
    assert total.dtype == torch.float32
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for name, head in model.heads.items():
        prediction = predictions[name]
        assert prediction.fields() == list(head.fills)
        if "mask" in head.fills:
            assert prediction.mask.shape == (2, *size)
            assert prediction.mask.min() >= 0
            assert prediction.mask.max() <= 1
        else:
            assert prediction.keypoints.shape == (2, LSP14.num_joints, 2)
            assert prediction.keypoints.isfinite().all()
            assert prediction.scores.min() >= 0
            assert prediction.scores.max() <= 1


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_a_head_teaches_the_backbone(backbone: str, name: str) -> None:
    model = build(backbone, [name], (64, 64)).train()
    batch = make_batch(2, (64, 64))
    # Without the zero that gives every parameter a gradient, so that only what the loss reaches
    # counts.
    terms = model.network.losses(model(batch.image), batch)
    terms[name].mean().backward()
    reached = [
        p.grad.abs().sum() > 0 for p in model.network.backbone.parameters() if p.grad is not None
    ]
    assert sum(reached) > len(reached) / 2


@pytest.mark.parametrize("name", list(HEADS))
def test_what_is_not_labelled_does_not_teach(name: str) -> None:
    model = build("unet", [name], (64, 64))
    batch = make_batch(2, (64, 64))
    batch.visibility[:] = 0
    batch.keypoints[:] = 0
    batch.mask[:] = -1
    total = training_step(model, batch)
    total.backward()
    assert total.item() == 0
    for parameter in model.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("name", list(HEADS))
def test_a_person_without_labels_adds_no_gradient_next_to_one_with_them(name: str) -> None:
    model = build("unet", [name], (64, 64)).eval()
    batch, alone = make_batch(2, (64, 64)), make_batch(1, (64, 64))
    batch.visibility[1] = 0
    # The position of an unlabelled joint is never used.
    batch.keypoints[1] = 20
    batch.mask[1] = -1
    head, output = model.heads[name], model(batch.image)[name]
    expected = head.loss(output[:1], head.encode(alone, output[:1]))
    assert expected.mean() > 0
    found = head.loss(output, head.encode(batch, output))
    torch.testing.assert_close(found.sum, expected.sum)
    torch.testing.assert_close(found.weight, expected.weight)


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize(("backbone", "edge"), [("unet", 48), ("smp", 48), ("smp", 50)])
def test_padding_does_not_teach(backbone: str, edge: int, name: str) -> None:
    # From column 50 on, half of a cell of stride 4 is padding.
    model = build(backbone, [name], (64, 64)).eval()
    batch = make_batch(2, (64, 64))
    head, output = model.heads[name], model(batch.image)[name]
    batch.valid[:, :, edge:] = False
    outside = batch.keypoints[..., 0] >= edge - 1
    batch.visibility[outside] = 0
    before = head.loss(output, head.encode(batch, output)).mean()
    batch.mask[:, :, edge:] = 1
    batch.keypoints[outside] += 3
    if output.dim() == 4:  # A map: its values in the padding are ignored.
        output[:, :, :, -(-edge * output.shape[3] // 64) :] += 5
    after = head.loss(output, head.encode(batch, output)).mean()
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_unflipping_twice_is_nothing_and_meets_the_mirrored_target(
    backbone: str, name: str
) -> None:
    model = build(backbone, [name], (64, 64)).eval()
    batch = make_batch(2, (64, 64))
    head, output = model.heads[name], model(batch.image)[name]
    torch.testing.assert_close(head.unflip(head.unflip(output)), output)
    assert not torch.equal(head.unflip(output), output)
    # A prediction for mirrored images, mapped back, is the mirrored prediction.
    mirrored = head.decode(output, (64, 64))
    back = head.decode(head.unflip(output), (64, 64))
    if "mask" in head.fills:
        torch.testing.assert_close(back.mask, mirrored.mask.flip(2))
    else:
        x, y = mirrored.keypoints[:, LSP14.flip_order].unbind(dim=2)
        expected = torch.stack((63 - x, y), dim=2)
        torch.testing.assert_close(back.keypoints, expected, atol=2e-3, rtol=0)
        torch.testing.assert_close(back.scores, mirrored.scores[:, LSP14.flip_order])


@pytest.mark.parametrize("name", list(HEADS))
def test_rows_of_joints_are_rows_of_its_parameters(name: str) -> None:
    head = build("unet", [name], (64, 64)).heads[name]
    state = head.state_dict()
    for parameter, rows in head.joint_rows().items():
        assert len(rows) == state[parameter].shape[0] == len(set(rows))
    if "keypoints" in head.fills:
        assert head.joint_rows()
