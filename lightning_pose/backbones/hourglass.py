"""The stacked hourglass network."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features

__all__ = ["Hourglass"]

_STRIDE = 4  # Of the stem.


class Hourglass(Backbone):
    """Stacked hourglasses (Newell et al., ECCV 2016, https://arxiv.org/abs/1603.06937).

    A stem reduces the image to stride 4. Each hourglass halves the sides `depth` times and goes
    back up, adding the map of the same size from the way down at each level; its output is added
    to its input for the next one. `dense` is the output of the last hourglass, and `aux` those of
    the earlier ones, which heads with intermediate supervision read; `deep` is the bottom of the
    last hourglass.

    In the paper, each hourglass also gets the heatmaps that its predecessor predicts. Here heads
    are apart from the backbone, and the backbone works with any of them, so only the features are
    passed on.

    Args:
        stacks: Number of hourglasses; 8 in the paper.
        channels: Channels of every map after the stem, an even number; 256 in the paper.
        depth: How often each hourglass halves the sides, from 1 to 4; 4 in the paper.

    Raises:
        ConfigError: A number is out of range, or the channels are odd.

    Example:
        >>> spec = Hourglass(stacks=2, channels=16).measure((128, 96))
        >>> spec.dense, len(spec.aux)
        (MapSpec(channels=16, stride=4, height=32, width=24), 1)
        >>> spec.deep
        MapSpec(channels=16, stride=64, height=2, width=2)
    """

    def __init__(self, stacks: int = 8, channels: int = 256, depth: int = 4) -> None:
        super().__init__()
        for name, value, most in (("stacks", stacks, 100), ("depth", depth, 4)):
            if not 1 <= value <= most:
                raise ConfigError(
                    f"Expected Hourglass.{name} from 1 to {most}, found {value}; the paper has 8 "
                    "stacks of depth 4."
                )
        if channels < 2 or channels % 2:
            raise ConfigError(
                f"Expected Hourglass.channels as an even number above 0, found {channels}; the "
                "paper has 256."
            )
        self.stacks = stacks
        self.channels = channels
        self.depth = depth
        narrow = max(channels // 4, 2)
        self.stem = nn.Sequential(
            *_convolution(3, narrow, 7, stride=2),
            _Residual(narrow, channels // 2),
            nn.MaxPool2d(2),
            _Residual(channels // 2, channels // 2),
            _Residual(channels // 2, channels),
        )
        self.hourglasses = nn.ModuleList(_OneHourglass(channels, depth) for _ in range(stacks))
        self.outputs = nn.ModuleList(
            nn.Sequential(_Residual(channels, channels), *_convolution(channels, channels, 1))
            for _ in range(stacks)
        )
        self.remaps = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(stacks - 1))

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, _STRIDE * 2**self.depth)
        x: Tensor = self.stem(padded)
        maps: list[Tensor] = []
        for stack, (hourglass, output) in enumerate(
            zip(self.hourglasses, self.outputs, strict=True)
        ):
            inner, deep = hourglass(x)
            maps.append(output(inner))
            if stack < len(self.remaps):
                x = x + self.remaps[stack](maps[-1])
        *aux, dense, deep = (cut_map(value, padded, size) for value in (*maps, deep))
        return Features(dense=dense, deep=deep, aux=tuple(aux))


class _OneHourglass(nn.Module):
    """Down and up again; returns the map at the top and the one at the bottom."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()

        def level() -> nn.ModuleList:
            return nn.ModuleList(_Residual(channels, channels) for _ in range(depth))

        self.across, self.down, self.up = level(), level(), level()
        self.bottom = _Residual(channels, channels)

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skips: list[Tensor] = []
        for across, down in zip(self.across, self.down, strict=True):
            skips.append(across(x))
            x = down(F.max_pool2d(x, 2))
        x = bottom = self.bottom(x)
        for up in self.up:
            x = F.interpolate(up(x), scale_factor=2, mode="nearest") + skips.pop()
        return x, bottom


class _Residual(nn.Module):
    """A bottleneck of 1 x 1, 3 x 3 and 1 x 1 convolutions, each after batch norm and ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        middle = max(after // 2, 1)
        layers: list[nn.Module] = []
        for one, other, side in ((before, middle, 1), (middle, middle, 3), (middle, after, 1)):
            layers += [nn.BatchNorm2d(one), nn.ReLU(inplace=True)]
            layers.append(nn.Conv2d(one, other, side, padding=side // 2, bias=False))
        # The first batch norm copies the map, which the shortcut still needs.
        self.layers = nn.Sequential(*layers)
        self.shortcut = (
            nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)
        )

    @override
    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.shortcut(x) + self.layers(x)
        return added


def _convolution(before: int, after: int, side: int, stride: int = 1) -> list[nn.Module]:
    """A convolution with batch norm, which has its own bias, and ReLU."""
    return [
        nn.Conv2d(before, after, side, stride=stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]
