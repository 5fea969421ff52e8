"""Bottleneck blocks over an encoder: their size, their batch norm, and where their cells lie."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_pose.backbones import FullyConvolutionalBackbone
from lightning_pose.errors import ConfigError
from tests.backbones.written_out import close, normalise, randomise, relu


def test_number_of_parameters() -> None:
    # Counted by hand: every convolution has no bias, and two numbers per channel of batch norm.
    def convolution(before: int, after: int, side: int = 1) -> int:
        return side**2 * before * after + 2 * after

    def block(before: int) -> int:
        return convolution(before, 64) + convolution(64, 64, 3) + convolution(64, 256)

    expected = 23_508_032  # ResNet-50 without its classifier
    expected += block(2048) + convolution(2048, 256)  # with a shortcut that changes the channels
    expected += 2 * block(256) + 3 * convolution(256, 256)
    with torch.device("meta"):
        backbone = FullyConvolutionalBackbone("resnet50")
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected


def test_a_round_is_a_convolution_batch_norm_and_relu() -> None:
    layers = randomise(FullyConvolutionalBackbone("test_resnet", [8]).decoder(6))
    upsampled, block, *rounds = layers
    maps = torch.randn(2, 6, 4, 5)
    x = block(upsampled(maps))
    for number in (0, 3, 6):
        x = F.conv2d(x, rounds[number].weight)
        x = relu(normalise(x, rounds[number + 1]))
    close(layers(maps), x)


def test_every_convolution_has_batch_norm_also_in_the_shortcuts() -> None:
    with torch.device("meta"):
        backbone = FullyConvolutionalBackbone("resnet50")
    layers = list(backbone.modules())
    assert not any(isinstance(layer, nn.ConvTranspose2d) for layer in layers)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    assert [layer.out_channels for layer in convolutions] == [n.num_features for n in norms]
    shortcuts = [m for name, m in backbone.named_modules() if name.endswith("downsample")]
    kinds = [[type(layer) for layer in shortcut] for shortcut in shortcuts if shortcut is not None]
    # Four stages of the encoder, and the block whose channels change.
    assert kinds == [[nn.Conv2d, nn.BatchNorm2d]] * 5


def test_mirrored_kernels_give_mirrored_maps() -> None:
    layers = FullyConvolutionalBackbone("test_resnet", [8, 8]).decoder_layers.eval().double()
    maps = torch.rand(1, 96, 3, 5, dtype=torch.float64)
    before = layers(maps)
    assert before.shape == (1, 8, 12, 20)
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.flip(3)
    torch.testing.assert_close(layers(maps.flip(3)).flip(3), before)


def test_a_ramp_of_maps_stays_a_ramp() -> None:
    up = FullyConvolutionalBackbone("test_resnet", [8]).decoder_layers[0]
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    # Bilinear, with the centres of the cells where they lie: at a quarter and three quarters.
    torch.testing.assert_close(up(ramp)[0, 0, 3, 1:-1], torch.arange(0.25, 4, 0.5))


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [([8, 6], r"multiples of 4, found \[8, 6\]"), ([], "1 or more for each of one or more")],
)
def test_bad_channels_are_refused(channels: list[int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        FullyConvolutionalBackbone("test_resnet", channels)
