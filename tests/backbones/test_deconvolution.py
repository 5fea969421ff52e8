"""Transposed convolutions over an encoder: their size, and where their cells lie."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_pose.backbones import DeconvolutionBackbone
from lightning_pose.backbones.deconvolution import deconvolutions
from lightning_pose.errors import ConfigError
from tests.backbones.written_out import close, normalise, randomise, relu

# Convolutional parameters of ResNets, as torchvision counts them without the classifier.
RESNETS = {
    "resnet18": (11_176_512, 512),
    "resnet34": (21_284_672, 512),
    "resnet50": (23_508_032, 2048),
    "resnet101": (42_500_160, 2048),
    "resnet152": (58_143_808, 2048),
}


@pytest.mark.parametrize("encoder", list(RESNETS))
def test_number_of_parameters(encoder: str) -> None:
    count, channels = RESNETS[encoder]
    # Each transposed convolution is 4 x 4 without a bias, with two numbers per channel for the
    # batch norm.
    expected = count + 16 * (channels + 256 + 256) * 256 + 3 * 2 * 256
    with torch.device("meta"):
        backbone = DeconvolutionBackbone(encoder)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected


@pytest.mark.parametrize(("channels", "stride"), [([8], 16), ([8, 12], 8), ([4] * 5, 1)])
def test_each_layer_halves_the_stride(channels: list[int], stride: int) -> None:
    spec = DeconvolutionBackbone("test_resnet", channels).measure((64, 64))
    assert (spec.dense.stride, spec.dense.channels) == (stride, channels[-1])


def test_more_layers_than_the_encoder_has_strides_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"one whole stride, found 0\.5"):
        DeconvolutionBackbone("test_resnet", [4] * 6).measure((64, 64))


def test_a_layer_is_a_transposed_convolution_batch_norm_and_relu() -> None:
    layers = randomise(deconvolutions(3, [4, 5]))
    x = maps = torch.randn(2, 3, 6, 5)
    for number in (0, 3):
        x = F.conv_transpose2d(x, layers[number].weight, stride=2, padding=1)
        x = relu(normalise(x, layers[number + 1]))
    close(layers(maps), x)


@pytest.mark.parametrize("axis", [2, 3])
def test_mirrored_kernels_give_mirrored_maps(axis: int) -> None:
    # So the finer cells lie symmetrically within the coarser ones.
    layers = deconvolutions(3, [4, 5]).eval().double()
    maps = torch.rand(1, 3, 6, 5, dtype=torch.float64)
    before = layers(maps)
    assert before.shape == (1, 5, 24, 20)
    for layer in layers:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.flip(axis)
    torch.testing.assert_close(layers(maps.flip(axis)).flip(axis), before)


@pytest.mark.parametrize("channels", [[], [8, 0]])
def test_missing_channels_are_refused(channels: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"DeconvolutionBackbone\.channels with 1 or more"):
        DeconvolutionBackbone("test_resnet", channels)


def test_settings_are_kept_as_given() -> None:
    backbone = DeconvolutionBackbone("test_resnet", (8, 4), frozen_stride=2)
    assert (backbone.encoder, backbone.channels) == ("test_resnet", [8, 4])
    assert (backbone.pretrained, backbone.frozen_stride) == (None, 2)
