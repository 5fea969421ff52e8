"""U-Net of harmonic convolutions, whose features rotate with the image."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.harmonic import (
    HarmonicConvolution,
    MagnitudeReLU,
    join_maps,
    magnitudes,
    scale_magnitudes,
)
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features

__all__ = ["HarmonicUNet"]


class HarmonicUNet(Backbone):
    """The U-Net with harmonic convolutions (H-Net, see `HarmonicConvolution`).

    It has the levels of `UNet`. Where that has 64 maps, this one has 32 maps of rotation order 0
    and 32 of order 1, whose numbers are complex. Batch norm and ReLU act on their magnitudes, and
    maps are halved by their mean, because the largest of several complex numbers depends on the
    rotation of the image.

    The features are magnitudes. They rotate with the image: exactly by multiples of 90 degrees if
    both sides are multiples of 16 pixels (others are padded on the right and bottom), but for
    rounding in bfloat16. By other angles, `dense` rotates approximately: at 30 degrees, it is off
    by about a fifth of its variation on smooth blobs, and that of a U-Net by two thirds. `deep`
    does so only if the image is smooth over its cells of 16 pixels.

    `dense` has `width` channels at stride 1; `deep`, the bottom level, 16 x `width` at stride 16.

    Args:
        width: Maps of the first level, half of them of each order; 64 gives 1024 at the bottom
            level.
        dropout: The probability at which a complex number of the bottom level is left out, before
            the way up.

    Raises:
        ConfigError: The width is not an even number of 2 or more, or the dropout is not in [0, 1).

    Example:
        >>> spec = HarmonicUNet(width=4).measure((64, 48))
        >>> spec.dense
        MapSpec(channels=4, stride=1, height=64, width=48)
        >>> spec.deep
        MapSpec(channels=64, stride=16, height=4, width=3)
    """

    def __init__(self, width: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ConfigError(
                "Expected a harmonic U-Net of an even width of 2 or more, half of it for each "
                f"rotation order, found {width}; try 16 or 64."
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"Expected a dropout of 0 or more and below 1, found {dropout}.")
        self.width = width
        self.dropout = dropout
        channels = [width // 2 * 2**level for level in range(5)]
        self.down = nn.ModuleList(
            _convolutions(before, after)
            for before, after in zip([0, *channels], channels, strict=False)
        )
        self.up = nn.ModuleList(
            _convolutions(before + after, after)
            for before, after in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, 2 ** len(self.up))
        skips: list[Tensor] = []
        x = torch.cat((padded, torch.zeros_like(padded)), dim=1)  # Real and imaginary part.
        for level, convolutions in enumerate(self.down):
            x = convolutions(x if level == 0 else F.avg_pool2d(x, 2))
            skips.append(x)
        deep = magnitudes(x := skips.pop())
        x = scale_magnitudes(x, F.dropout(torch.ones_like(deep), self.dropout, self.training))
        for convolutions in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = convolutions(join_maps(skips.pop(), x))
        return Features(
            dense=cut_map(magnitudes(x), padded, size), deep=cut_map(deep, padded, size)
        )


def _convolutions(before: int, after: int) -> nn.Sequential:
    """Two harmonic convolutions, each with batch norm and ReLU; with 0 maps before, of an image."""
    return nn.Sequential(
        HarmonicConvolution(before, after) if before else HarmonicConvolution(3, after, (0,)),
        MagnitudeReLU(after),
        HarmonicConvolution(after, after),
        MagnitudeReLU(after),
    )
