"""Layers that several heads end in."""

from torch import nn

__all__ = ["pointwise"]


def pointwise(channels: int, outputs: int) -> nn.Conv2d:
    """A 1 x 1 convolution whose outputs are close to 0 at first, so that no class is preferred."""
    layer = nn.Conv2d(channels, outputs, kernel_size=1)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.001)
    return layer
