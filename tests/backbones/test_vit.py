"""Vision transformers: their tokens as a map, at any size."""

from pathlib import Path

import pytest
import timm
import torch

from lightning_pose.backbones import ViT, vit
from lightning_pose.errors import ConfigError


# With a class token, with a register token, and with attention pooling.
@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3"])
@pytest.mark.parametrize("size", [(160, 160), (64, 96)])
def test_deep_has_the_tokens_of_the_patches(name: str, size: tuple[int, int]) -> None:
    backbone = ViT(name, [8]).eval()
    whole = timm.create_model(name, dynamic_img_size=True).eval()
    found = whole.load_state_dict(backbone.encoder_layers.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert not any(key.startswith("blocks") for key in found.missing_keys)
    image = torch.rand(2, 3, *size)
    tokens = whole.forward_features(image)[:, whole.num_prefix_tokens :]
    rows = torch.stack([part.T for part in tokens]).view(2, -1, size[0] // 16, size[1] // 16)
    torch.testing.assert_close(backbone(image).deep, rows)


def test_patches_of_14_pixels_have_whole_strides_too() -> None:
    with torch.device("meta"):
        spec = ViT("vit_small_patch14_dinov2", [8]).measure((224, 210))
        assert (spec.deep.stride, spec.deep.height, spec.deep.width) == (14, 16, 15)
        assert (spec.dense.stride, spec.dense.height, spec.dense.width) == (7, 32, 30)
        with pytest.raises(ConfigError, match=r"one whole stride, found 3\.5 input pixels"):
            ViT("vit_small_patch14_dinov2", [8, 8]).measure((224, 224))


def test_pretrained_weights_say_how_images_are_normalised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "weights.pth")
    expected = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    monkeypatch.setattr(vit, "timm_normalisation", {"test_vit": expected}.__getitem__)
    backbone = ViT("test_vit", [8], pretrained=str(tmp_path / "weights.pth"))
    assert (backbone.mean, backbone.std) == expected
    assert ViT("test_vit", [8]).mean == (0.5, 0.5, 0.5)


def test_parameters_of_the_classifier_are_left_out() -> None:
    for name in ("test_vit", "test_vit2", "test_vit3"):
        backbone = ViT(name, [8])
        backbone(torch.rand(2, 3, 64, 48)).dense.square().mean().backward()
        assert all(parameter.grad is not None for parameter in backbone.parameters()), name


def test_the_base_model_of_vitpose() -> None:
    # 86 million of ViT-B, and two transposed convolutions of 4 x 4 with batch norm.
    with torch.device("meta"):
        backbone = ViT("vit_base_patch16_224")
        whole = timm.create_model("vit_base_patch16_224", num_classes=0)
    expected = sum(parameter.numel() for parameter in whole.parameters())
    expected += 16 * (768 + 256) * 256 + 2 * 2 * 256
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected


@pytest.mark.parametrize("name", ["resnet18", "beit_base_patch16_224"])
def test_models_without_dynamic_sizes_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected timm's {name} to take .*dynamic_img_size"):
        ViT(name)


def test_missing_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"ViT\.channels with 1 or more"):
        ViT("test_vit", [])
