"""Which pixels are the person."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch, Features, FeatureSpec, Prediction, Target
from lightning_pose.codecs.masks import decode_mask, encode_mask
from lightning_pose.errors import InputError
from lightning_pose.heads.base import Head
from lightning_pose.losses.dice import soft_dice
from lightning_pose.skeletons import Skeleton

__all__ = ["MaskHead"]


class MaskHead(Head):
    """Tells person from background at each cell, by a softmax of two channels.

    The loss is the soft Dice of the person, see `lightning_pose.losses.soft_dice`, against the
    fraction of each cell that the person covers.

    Args:
        channels: Width of a 3 x 3 convolution with batch norm and ReLU before the last layer, which
            sees one cell alone; None is without it.
        max_stride: Most pixels that a cell of the mask may have along its side. Of a coarser dense
            map the last layer predicts the finer cells as channels (sub-pixel convolution, Shi et
            al. 2016, https://arxiv.org/abs/1609.05158), which costs little. None takes any map.

    Raises:
        InputError: A number is less than 1, or a coarser map's stride is no multiple of max_stride.

    Example:
        >>> from lightning_pose.batch import MapSpec
        >>> from lightning_pose.skeletons import LSP14
        >>> head = MaskHead(channels=8, max_stride=2)
        >>> grid = MapSpec(channels=4, stride=4, height=16, width=12)
        >>> head.build(FeatureSpec(dense=grid, deep=grid), LSP14, input_size=(64, 48))
        >>> maps = torch.zeros(1, 4, 16, 12)
        >>> head(Features(dense=maps, deep=maps)).shape
        torch.Size([1, 2, 32, 24])
    """

    predicts: ClassVar = "mask"

    def __init__(self, channels: int | None = None, max_stride: int | None = None) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("max_stride", max_stride)):
            if value is not None and value < 1:
                raise InputError(
                    f"Expected {name} of MaskHead as 1 or more, found {value}; correct it or leave "
                    "it out."
                )
        self.channels = channels
        self.max_stride = max_stride

    @override
    def build(self, spec: FeatureSpec, skeleton: Skeleton, input_size: tuple[int, int]) -> None:
        channels, stride = spec.dense.channels, spec.dense.stride
        self.stride = min(stride, self.max_stride or stride)
        if stride % self.stride:
            raise InputError(
                "Expected max_stride of MaskHead to divide the dense map's stride of "
                f"{stride} pixels, found {self.max_stride}; choose a divisor, or leave it out."
            )
        self.upscale = stride // self.stride
        self.stem: nn.Module = nn.Identity()
        if self.channels is not None:
            self.stem = nn.Sequential(
                nn.Conv2d(channels, self.channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(self.channels),
                nn.ReLU(),
            )
            channels = self.channels
        self.layer = nn.Conv2d(channels, 2 * self.upscale**2, kernel_size=1)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B 2 h w"]:
        return F.pixel_shuffle(self.layer(self.stem(features.dense)), self.upscale)

    @override
    def encode(self, batch: Batch, shape: torch.Size) -> Target:
        return Target(*encode_mask(batch.mask, batch.valid, self.stride, (shape[2], shape[3])))

    @override
    def loss(self, output: Float[Tensor, "B 2 h w"], target: Target) -> Float[Tensor, ""]:
        return soft_dice(_person(output), target.value, target.weight)

    @override
    def decode(self, output: Float[Tensor, "B 2 h w"], size: tuple[int, int]) -> Prediction:
        return Prediction(mask=decode_mask(_person(output), self.stride, size))


def _person(output: Float[Tensor, "B 2 h w"]) -> Float[Tensor, "B h w"]:
    """The probability of person: a softmax of two is a sigmoid of their difference."""
    return (output[:, 1].float() - output[:, 0].float()).sigmoid()
