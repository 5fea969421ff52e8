"""Which pixels are the person."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch, Features, FeatureSpec, Prediction, Target
from lightning_pose.codecs.masks import decode_mask, encode_mask
from lightning_pose.heads.base import Head
from lightning_pose.losses.dice import soft_dice
from lightning_pose.skeletons import Skeleton

__all__ = ["MaskHead"]


class MaskHead(Head):
    """Tells person from background at each cell of the dense map, by a softmax of two channels.

    The loss is the soft Dice of the person, see `lightning_pose.losses.soft_dice`, against the
    fraction of each cell that the person covers.
    """

    predicts: ClassVar = "mask"

    @override
    def build(self, spec: FeatureSpec, skeleton: Skeleton, input_size: tuple[int, int]) -> None:
        self.stride = spec.dense.stride
        self.layer = nn.Conv2d(spec.dense.channels, 2, kernel_size=1)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B 2 h w"]:
        logits: Tensor = self.layer(features.dense)
        return logits

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
