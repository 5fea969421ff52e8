"""What the heads that regress coordinates have in common."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.geometry import from_unit, to_unit
from lightning_pose.heads.base import Head
from lightning_pose.prediction import Prediction, Target
from lightning_pose.skeletons import Skeleton

__all__ = ["CoordinateHead"]


class CoordinateHead(Head):
    """A head whose output is the coordinates of the joints, (B, K, 2).

    They are normalised to [-1, 1] over the image without its padding. A regressor has no
    confidence: every score is 1. `build` of a subclass sets `skeleton`.
    """

    fills: ClassVar = ("keypoints", "scores")
    skeleton: Skeleton

    @override
    def encode(self, batch: Batch, output: Float[Tensor, "B K 2"]) -> Target:
        labelled = batch.labelled[..., None]
        value = to_unit(batch.keypoints, batch.input_size[:, None]).masked_fill(~labelled, 0)
        return Target(value, labelled.float())

    @override
    def decode(self, output: Float[Tensor, "B K 2"], size: tuple[int, int]) -> Prediction:
        keypoints = from_unit(output.float(), size)
        return Prediction(keypoints=keypoints, scores=torch.ones_like(keypoints[..., 0]))

    @override
    def unflip(self, output: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        return output[:, self.skeleton.flip_order] * output.new_tensor([-1, 1])
