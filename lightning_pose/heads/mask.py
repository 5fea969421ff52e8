"""The person's mask."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs.masks import decode_mask, encode_mask
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.heads.base import Head
from lightning_pose.losses.dice import soft_dice
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["MaskHead"]


class MaskHead(Head):
    """Separates person from background in each cell, by a softmax over two channels.

    The loss is the soft Dice of the person, see `lightning_pose.losses.soft_dice`, against the
    fraction of each cell that the person covers.

    Args:
        channels: Channels of a 3 x 3 convolution with batch norm and ReLU before the last layer,
            which is a 1 x 1 convolution; None leaves out the 3 x 3 convolution.
        max_stride: Largest stride of the mask in pixels. On a coarser dense map the last layer
            predicts the finer cells as channels (sub-pixel convolution, Shi et al. 2016,
            https://arxiv.org/abs/1609.05158), which costs little. None keeps the stride of the map.

    Raises:
        ConfigError: A number is less than 1, or max_stride does not divide a coarser map's stride.

    Example:
        >>> import torch
        >>> from lightning_pose.features import MapSpec
        >>> from lightning_pose.skeletons import LSP14
        >>> head = MaskHead(channels=8, max_stride=2)
        >>> grid = MapSpec(channels=4, stride=4, height=16, width=12)
        >>> head.build(FeatureSpec(dense=grid, deep=grid), Task(LSP14))
        >>> maps = torch.zeros(1, 4, 16, 12)
        >>> head(Features(dense=maps, deep=maps)).shape
        torch.Size([1, 2, 32, 24])
    """

    fills: ClassVar = ("mask",)

    def __init__(self, channels: int | None = None, max_stride: int | None = None) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("max_stride", max_stride)):
            if value is not None and value < 1:
                raise ConfigError(
                    f"Expected MaskHead.{name} of 1 or more, found {value}; correct it or leave "
                    "it out."
                )
        self.channels = channels
        self.max_stride = max_stride

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        channels, stride = spec.dense.channels, spec.dense.stride
        self.stride = min(stride, self.max_stride or stride)
        if stride % self.stride:
            raise ConfigError(
                "Expected MaskHead.max_stride to divide the dense map's stride of "
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
    def encode(self, batch: Batch, output: Float[Tensor, "B 2 h w"]) -> Target:
        grid = (output.shape[2], output.shape[3])
        return Target(*encode_mask(batch.mask, batch.valid, self.stride, grid))

    @override
    def loss(self, output: Float[Tensor, "B 2 h w"], target: Target) -> LossTerms:
        return soft_dice(_person(output), target.value, target.weight)

    @override
    def decode(self, output: Float[Tensor, "B 2 h w"], size: tuple[int, int]) -> Prediction:
        return Prediction(mask=decode_mask(_person(output), self.stride, size))

    @override
    def unflip(self, output: Float[Tensor, "B 2 h w"]) -> Float[Tensor, "B 2 h w"]:
        return output.flip(-1)


def _person(output: Float[Tensor, "B 2 h w"]) -> Float[Tensor, "B h w"]:
    """The probability of person: a softmax over two channels is a sigmoid of their difference."""
    return (output[:, 1].float() - output[:, 0].float()).sigmoid()
