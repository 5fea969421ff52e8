"""The contract of every head and every backbone; a new one adds one row here."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_pose import backbones, heads
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.prediction import Output
from lightning_pose.skeletons import LSP14
from tests.batches import LABELS, forget_labels, make_batch, training_step

BACKBONES: dict[str, Callable[[], backbones.Backbone]] = {
    "unet": lambda: backbones.UNet(width=4),
    "vgg": lambda: backbones.VGG([[4], [6], [8, 8]]),
    "harmonic_unet": lambda: backbones.HarmonicUNet(width=4),
    "smp": lambda: backbones.SMPBackbone(encoder="tu-test_efficientnet", decoder="FPN"),
    "deconvolution": lambda: backbones.DeconvolutionBackbone("test_resnet", [8, 8, 32]),
    "fully_convolutional": lambda: backbones.FullyConvolutionalBackbone("test_resnet", [8, 8, 32]),
    "hourglass": lambda: backbones.Hourglass(stacks=2, channels=8, depth=2),
    "vit": lambda: backbones.ViT("test_vit", [8, 32]),
}

HEADS: dict[str, Callable[[], heads.Head]] = {
    "regression": heads.RegressionHead,
    "fully_connected": lambda: heads.FullyConnectedHead([16]),
    "fully_connected_l1": lambda: heads.FullyConnectedHead([16], norm="after", criterion="l1"),
    "heatmap": heads.HeatmapHead,
    "heatmap_mse": lambda: heads.HeatmapHead(criterion="mse"),
    "mask": heads.MaskHead,
    "mask_fine": lambda: heads.MaskHead(channels=4, max_stride=2),
    "shared_heatmap": heads.SharedHeatmapHead,
    "softmax_joint": heads.SoftmaxJointHead,
    "lstm": lambda: heads.LSTMHead(fully_connected=[16], hidden=8, norm="after"),
    "attention_lstm": lambda: heads.AttentionLSTMHead(hidden=8, attention=8),
    "refinement": lambda: heads.RefinementHead(heads.RegressionHead(), 24.0, 16, 4, jitter=1.0),
    "refinement_of_maps": lambda: heads.RefinementHead(heads.HeatmapHead(), 24.0, 16, 4),
    "refinement_of_attention": lambda: heads.RefinementHead(
        heads.AttentionLSTMHead(hidden=8, attention=8), 24.0, 16, 4
    ),
    "softmax_joint_plain": lambda: heads.SoftmaxJointHead(balanced=False, decoding="argmax"),
    "softmax_joint_soft": lambda: heads.SoftmaxJointHead(balanced=False, soft=True),
    "integral": heads.IntegralHead,
    "simcc": heads.SimCCHead,
    "simcc_deep": lambda: heads.SimCCHead(feature_map="deep", decoding="expectation"),
    "class": lambda: heads.ClassHead("activity"),
    "class_joined": lambda: heads.ClassHead("activity", "dense", 8, classifier="test_resnet"),
    "value": lambda: heads.ValueHead("height", mean=150.0, std=10.0, hidden=8),
}


def each(output: Output, change: Callable[[Tensor], Tensor]) -> Output:
    """Change every tensor of an output."""
    return change(output) if isinstance(output, Tensor) else tuple(change(one) for one in output)


def tensors(output: Output) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else output


def test_every_head_and_every_backbone_has_a_row() -> None:
    for room, base, rows in (
        (heads, heads.Head, HEADS),
        (backbones, backbones.Backbone, BACKBONES),
    ):
        exported = [getattr(room, name) for name in room.__all__]
        ours = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, base)}
        assert ours - {base} <= {type(make()) for make in rows.values()}


# Every head alone on one of the backbones, and all together on each, which is every pair of them.
ALONE = [[list(BACKBONES)[n % len(BACKBONES)], [name]] for n, name in enumerate(HEADS)]
CASES = ALONE + [[backbone, list(HEADS)] for backbone in BACKBONES]


def build(backbone: str, names: list[str], size: tuple[int, int]) -> PoseModule:
    torch.manual_seed(0)
    chosen = {name: HEADS[name]() for name in names}
    return PoseModule(BACKBONES[backbone](), chosen, LSP14, InputSpec(size), LABELS)


ROUNDED = ("mask", "mask_fine")
"""Heads of which only a difference matters, which is taken in float32."""


@pytest.mark.parametrize("name", HEADS)
def test_what_a_head_computes_last_is_not_rounded_under_autocast(name: str) -> None:
    size = (64, 48)
    model = build("unet", [name], size).eval()
    seen: list[torch.dtype] = []
    for layer in model.heads[name].modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.LSTM | nn.LSTMCell):
            layer.register_forward_hook(lambda _, __, output: seen.append(_dtype(output)))
    with torch.autocast("cpu", torch.bfloat16):
        model(make_batch(2, size).image)
    assert seen[-1] == (torch.bfloat16 if name in ROUNDED else torch.float32)
    if name.startswith("simcc"):
        assert set(seen) == {torch.float32}, "the map, and both axes"


def _dtype(output: Tensor | tuple[Tensor, ...]) -> torch.dtype:
    return (output if isinstance(output, Tensor) else output[0]).dtype


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("backbone", "names"), CASES, ids=[f"{b}-{n[0] if len(n) == 1 else 'all'}" for b, n in CASES]
)
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
        if not parameter.requires_grad:  # A pretrained classifier.
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for name, head in model.heads.items():
        prediction = predictions[name]
        assert prediction.fields() == list(head.fills)
        if "attention" in head.fills:
            assert prediction.attention.shape[:2] == (2, len(head.steps))
        if "mask" in head.fills:
            assert prediction.mask.shape == (2, *size)
            assert prediction.mask.min() >= 0
            assert prediction.mask.max() <= 1
        elif "heatmap" in head.fills:
            assert prediction.heatmap.shape[:2] == (2, 1)
            assert prediction.heatmap.isfinite().all()
        elif "probabilities" in head.fills:
            assert prediction.probabilities.shape == (2, len(LABELS[head.label]))
            torch.testing.assert_close(prediction.probabilities.sum(dim=1), torch.ones(2))
        elif "value" in head.fills:
            assert prediction.value.shape == (2,)
            assert prediction.value.isfinite().all()
        else:
            assert prediction.keypoints.shape == (2, LSP14.num_joints, 2)
            assert prediction.keypoints.isfinite().all()
            assert prediction.scores.min() >= 0
            assert prediction.scores.max() <= 1


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_a_head_teaches_the_backbone(backbone: str) -> None:
    model = build(backbone, list(HEADS), (64, 64)).train()
    batch = make_batch(2, (64, 64))
    parameters = list(model.network.backbone.parameters())
    for name, terms in model.network.losses(model(batch.image), batch).items():
        # Without the zero that gives every parameter a gradient, so that only what the loss reaches
        # counts.
        gradients = torch.autograd.grad(
            terms.mean(), parameters, retain_graph=True, allow_unused=True
        )
        reached = [gradient.abs().sum() > 0 for gradient in gradients if gradient is not None]
        assert sum(reached) > len(reached) / 2, name


@pytest.mark.parametrize("name", list(HEADS))
def test_what_is_not_labelled_does_not_teach(name: str) -> None:
    model = build("unet", [name], (64, 64))
    batch = make_batch(2, (64, 64))
    forget_labels(batch)
    batch.keypoints[:] = 0
    total = training_step(model, batch)
    total.backward()
    assert total.item() == 0
    for parameter in model.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("name", list(HEADS))
def test_a_person_without_labels_adds_no_gradient_next_to_one_with_them(name: str) -> None:
    model = build("unet", [name], (64, 64)).eval()
    batch, alone = make_batch(2, (64, 64)), make_batch(1, (64, 64))
    forget_labels(batch, slice(1, 2))
    # The position of an unlabelled joint is never used.
    batch.keypoints[1] = 20
    head, output = model.heads[name], model(batch.image)[name]
    first = each(output, lambda one: one[:1])
    expected = head.loss(first, head.encode(alone, first))
    assert expected.mean() > 0
    found = head.loss(output, head.encode(batch, output))
    torch.testing.assert_close(found.sum, expected.sum)
    torch.testing.assert_close(found.weight, expected.weight)


@pytest.mark.parametrize(
    ("backbone", "edge"), [("unet", 48), ("smp", 48), ("smp", 50), ("hourglass", 50)]
)
def test_padding_does_not_teach(backbone: str, edge: int) -> None:
    # From column 50 on, half of a cell of stride 4 is padding.
    model = build(backbone, list(HEADS), (64, 64)).eval()
    batch = make_batch(2, (64, 64))
    outputs = model(batch.image)

    def losses() -> dict[str, Tensor]:
        return {
            name: head.loss(outputs[name], head.encode(batch, outputs[name])).mean()
            for name, head in model.heads.items()
        }

    batch.valid[:, :, edge:] = False
    outside = batch.keypoints[..., 0] >= edge - 1
    batch.visibility[outside] = 0
    before = losses()
    batch.mask[:, :, edge:] = 1
    batch.keypoints[outside] += 3
    for output in outputs.values():
        for one in tensors(output):
            if one.dim() == 4:  # A map: its values in the padding are ignored.
                one[:, :, :, -(-edge * one.shape[3] // 64) :] += 5
    torch.testing.assert_close(before, losses())


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_unflipping_twice_is_nothing_and_meets_the_mirrored_target(backbone: str) -> None:
    model = build(backbone, list(HEADS), (64, 64)).eval()
    for name, output in model(make_batch(2, (64, 64)).image).items():
        # Random numbers, because the maps of new weights may be so flat that rounding decides where
        # their peaks are.
        noise = tuple(torch.randn_like(part) for part in tensors(output))
        check_unflip(name, model.heads[name], noise if isinstance(output, tuple) else noise[0])


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_the_flip_test_is_the_mean_of_both_outputs(backbone: str) -> None:
    model = build(backbone, list(HEADS), (64, 64)).eval()
    image = make_batch(2, (64, 64)).image
    outputs, mirrored = model(image), model(image.flip(3))
    for name, found in model.network.flip_average(outputs, image).items():
        both = (tensors(outputs[name]), tensors(model.heads[name].unflip(mirrored[name])))
        for part, one, other in zip(tensors(found), *both, strict=True):
            assert torch.allclose(part, (one + other) / 2), name


def check_unflip(name: str, head: heads.Head, output: Output) -> None:
    def close(found: Output, expected: Output, atol: float | None = None) -> None:
        rtol = None if atol is None else 0.0
        torch.testing.assert_close(
            found, expected, atol=atol, rtol=rtol, msg=lambda text: f"{name}: {text}"
        )

    close(head.unflip(head.unflip(output)), output)
    # A label of the whole image has no side.
    changed = [
        not torch.equal(one, other)
        for one, other in zip(tensors(head.unflip(output)), tensors(output), strict=True)
    ]
    assert all(changed) == (head.label is None), name
    # A prediction for mirrored images, mapped back, is the mirrored prediction.
    mirrored = head.decode(output, (64, 64))
    back = head.decode(head.unflip(output), (64, 64))
    if "mask" in head.fills:
        close(back.mask, mirrored.mask.flip(2))
    elif "heatmap" in head.fills:
        close(back.heatmap, mirrored.heatmap.flip(3))
    elif head.label is not None:
        (field,) = head.fills
        assert torch.equal(getattr(back, field), getattr(mirrored, field)), name
    else:
        x, y = mirrored.keypoints[:, LSP14.flip_order].unbind(dim=2)
        close(back.keypoints, torch.stack((63 - x, y), dim=2), atol=2e-3)
        close(back.scores, mirrored.scores[:, LSP14.flip_order])


@pytest.mark.parametrize("name", list(HEADS))
def test_rows_of_joints_are_rows_of_its_parameters(name: str) -> None:
    head = build("unet", [name], (64, 64)).heads[name]
    state = head.state_dict()
    for parameter, rows in head.joint_rows().items():
        assert len(rows) == state[parameter].shape[0] == len(set(rows))
    if "keypoints" in head.fills:
        # Weights that are the same for all joints depend on the order of the joints instead.
        assert head.joint_rows() or set(head.steps) == set(LSP14.names)
