"""U-Net, with up-sampling in place of transposed convolutions."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features

__all__ = ["UNet"]


class UNet(Backbone):
    """U-Net (Ronneberger et al., 2015, https://arxiv.org/abs/1505.04597), four levels deep.

    Each level has two 3x3 convolutions. On the way down, each level halves the sides and doubles
    the channels. On the way up, the map is up-sampled and concatenated with the map of the same
    size from the way down; transposed convolutions would leave checkerboard artefacts.

    `dense` has `width` channels at stride 1; `deep`, the bottom level, 16 x `width` at stride 16.

    Args:
        width: Channels of the first level; 64, as in the paper, gives 1024 at the bottom level.
        upsampling: The interpolation that doubles the map on the way up.
        dropout: The dropout probability at the bottom level, before the way up.
        batch_norm: Normalise after each convolution; the paper did not.

    Raises:
        ConfigError: The width is below 1, or the dropout is not in [0, 1).

    Example:
        >>> spec = UNet(width=4).measure((64, 48))
        >>> spec.dense
        MapSpec(channels=4, stride=1, height=64, width=48)
        >>> spec.deep
        MapSpec(channels=64, stride=16, height=4, width=3)
    """

    def __init__(
        self,
        width: int = 64,
        upsampling: Literal["bilinear", "nearest"] = "bilinear",
        dropout: float = 0.3,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"Expected a U-Net of width 1 or more, found {width}; try 16 or 64.")
        if not 0 <= dropout < 1:
            raise ConfigError(f"Expected a dropout of 0 or more and below 1, found {dropout}.")
        self.width = width
        self.upsampling = upsampling
        self.dropout = dropout
        self.batch_norm = batch_norm
        channels = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(
            _convolutions(before, after, batch_norm)
            for before, after in zip([3, *channels], channels, strict=False)
        )
        self.up = nn.ModuleList(
            _convolutions(before + after, after, batch_norm)
            for before, after in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # The paper's initialisation, without which the signal fades over nine levels.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, 2 ** len(self.up))
        skips: list[Tensor] = []
        x = padded
        for level, convolutions in enumerate(self.down):
            x = convolutions(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        deep = skips.pop()
        x = F.dropout(deep, self.dropout, self.training)
        for convolutions in self.up:
            x = F.interpolate(x, scale_factor=2, mode=self.upsampling)
            x = convolutions(torch.cat((skips.pop(), x), dim=1))
        return Features(dense=cut_map(x, padded, size), deep=cut_map(deep, padded, size))


def _convolutions(before: int, after: int, batch_norm: bool) -> nn.Sequential:
    """Two 3x3 convolutions that keep the size, each followed by a ReLU."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        # Batch norm has its own bias.
        layers.append(nn.Conv2d(channels, after, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
