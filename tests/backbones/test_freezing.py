"""Frozen layers, in the backbones that have them."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from lightning_pose.backbones import Backbone, DeconvolutionBackbone, FullyConvolutionalBackbone
from lightning_pose.backbones.freezing import freeze_layers
from lightning_pose.errors import ConfigError

MAKE = [
    lambda stride: DeconvolutionBackbone("test_resnet", [8, 8, 8], frozen_stride=stride),
    lambda stride: FullyConvolutionalBackbone("test_resnet", [8, 8, 8], frozen_stride=stride),
]


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("stride", [2, 8, 32])
def test_a_training_step_changes_what_is_not_frozen_only(
    make: Callable[[int], Backbone], stride: int
) -> None:
    backbone = make(stride)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    encoder = backbone.encoder_layers
    picture = torch.rand(2, 3, 64, 64)
    original = encoder.eval()(picture)
    backbone.train()
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=1.0)
    features = backbone(picture)
    (features.dense.square().mean() + features.deep.square().mean()).backward()
    optimizer.step()
    for one, other in zip(encoder.eval()(picture), original, strict=True):
        assert torch.equal(one, other) == (64 // one.shape[-1] <= stride)
    changed = [
        name for name, value in backbone.state_dict().items() if (value != before[name]).any()
    ]
    assert any(name.startswith("decoder_layers") for name in changed)


def test_frozen_layers_are_in_evaluation_mode_from_the_start() -> None:
    backbone = DeconvolutionBackbone("test_resnet", [8], frozen_stride=4)
    layers = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    for _ in range(2):
        assert [layer.training for layer in layers] == [
            layer.weight.requires_grad for layer in layers
        ]
        assert {layer.training for layer in layers} == {True, False}
        backbone.eval().train()


def test_a_stride_without_a_map_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one of \[2, 4, 8, 16, 32\], .* test_resnet, found 3"):
        DeconvolutionBackbone("test_resnet", [8], frozen_stride=3)


def test_a_parameter_that_several_maps_share_is_frozen_with_the_finest() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 1, 2, 2), nn.Conv2d(1, 1, 2, 2)

        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            fine = self.first(image)
            return [fine, self.second(fine)]

    encoder = Encoder()
    freeze_layers(encoder, 2, 4, "ours")
    assert not any(parameter.requires_grad for parameter in encoder.first.parameters())
    assert all(parameter.requires_grad for parameter in encoder.second.parameters())
