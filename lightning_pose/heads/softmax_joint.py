"""Joint positions from a softmax over joint classes in each cell."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs.joint_labels import (
    decode_joint_labels,
    encode_joint_labels,
    joint_radius,
)
from lightning_pose.codecs.masks import known_cells
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.geometry import from_grid, to_grid
from lightning_pose.heads.base import Head
from lightning_pose.losses.joint_labels import joint_cross_entropy
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["SoftmaxJointHead"]


class SoftmaxJointHead(Head):
    """Classifies each cell of the dense map as the background or as one joint.

    Channel 0 is the background, channel k + 1 joint k, with a softmax over channels. The target of
    a cell is the nearest labelled joint whose Gaussian exceeds the threshold there. The channel of
    a joint that is unlabelled for a person is left out of that person's loss: it is neither trained
    nor penalised. See `lightning_pose.losses.joint_cross_entropy` for the balance with the
    background. The score of a joint is its largest probability.

    Args:
        sigma: Standard deviation of a joint's Gaussian in pixels of the input.
        threshold: The height above which a Gaussian of height 1 claims a cell.

    Raises:
        ConfigError: `sigma` is not positive, or `threshold` is not between 0 and 1.
    """

    fills: ClassVar = ("keypoints", "scores")

    def __init__(self, sigma: float = 4.0, threshold: float = 0.01) -> None:
        super().__init__()
        if not 0 < sigma < math.inf:
            raise ConfigError(
                f"Expected SoftmaxJointHead.sigma above 0, found {sigma}; "
                "give it in pixels of the input."
            )
        if not 0 < threshold < 1:
            raise ConfigError(
                f"Expected SoftmaxJointHead.threshold between 0 and 1, found {threshold}; "
                "0.01 is usual."
            )
        self.sigma = sigma
        self.threshold = threshold

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.skeleton = task.skeleton
        self.stride = spec.dense.stride
        self.radius = joint_radius(self.sigma, self.threshold) / self.stride
        self.layer = nn.Conv2d(spec.dense.channels, self.skeleton.num_joints + 1, kernel_size=1)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B C h w"]:
        return in_float32(self.layer, features.dense)

    @override
    def encode(self, batch: Batch, output: Float[Tensor, "B C h w"]) -> Target:
        labelled = batch.labelled
        grid = (output.shape[2], output.shape[3])
        points = to_grid(batch.keypoints, self.stride)
        value = encode_joint_labels(points, labelled, grid, self.radius)
        known = known_cells(batch.valid, self.stride, grid)[:, None].float()
        # The background is labelled if any joint is.
        channels = torch.cat((labelled.any(dim=1, keepdim=True), labelled), dim=1)
        return Target(value, channels[..., None, None] * known)

    @override
    def loss(self, output: Float[Tensor, "B C h w"], target: Target) -> LossTerms:
        return joint_cross_entropy(output, target.value, target.weight)

    @override
    def decode(self, output: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Prediction:
        points, scores = decode_joint_labels(F.softmax(output.float(), dim=1), self.radius)
        return Prediction(keypoints=from_grid(points, self.stride), scores=scores)

    @override
    def unflip(self, output: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        order = [0, *(joint + 1 for joint in self.skeleton.flip_order)]
        return output.flip(-1)[:, order]

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        rows = ["background", *self.skeleton.names]
        return {"layer.weight": rows, "layer.bias": rows}
