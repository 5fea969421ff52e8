"""Where the joints are, as the class of each cell."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch, Features, FeatureSpec, Prediction, Target
from lightning_pose.codecs.joint_labels import (
    decode_joint_labels,
    encode_joint_labels,
    joint_radius,
)
from lightning_pose.codecs.masks import known_cells
from lightning_pose.errors import InputError
from lightning_pose.geometry import from_grid, to_grid
from lightning_pose.heads.base import Head
from lightning_pose.losses.joint_labels import joint_cross_entropy
from lightning_pose.skeletons import Skeleton

__all__ = ["SoftmaxJointHead"]


class SoftmaxJointHead(Head):
    """Says of each cell of the dense map which joint it belongs to, if any.

    Channel 0 is the background, channel k + 1 joint k, with a softmax over channels. The target of
    a cell is the nearest labelled joint whose Gaussian exceeds the threshold there. The channel of
    a joint that has no label for a person takes no part in that person's loss: it is neither taught
    nor blamed. See `lightning_pose.losses.joint_cross_entropy` for the balance with the background.
    The score of a joint is its largest probability.

    Args:
        sigma: Standard deviation of a joint's Gaussian in cells of the dense map.
        threshold: The height, of 1, above which the Gaussian claims a cell.

    Raises:
        InputError: `sigma` is not positive, or `threshold` is not between 0 and 1.
    """

    predicts: ClassVar = "keypoints"

    def __init__(self, sigma: float = 1.0, threshold: float = 0.01) -> None:
        super().__init__()
        if not 0 < sigma < math.inf:
            raise InputError(
                f"Expected SoftmaxJointHead.sigma above 0, found {sigma}; "
                "give it in cells of the map."
            )
        if not 0 < threshold < 1:
            raise InputError(
                f"Expected SoftmaxJointHead.threshold between 0 and 1, found {threshold}; "
                "0.01 is usual."
            )
        self.sigma = sigma
        self.threshold = threshold

    @override
    def build(self, spec: FeatureSpec, skeleton: Skeleton, input_size: tuple[int, int]) -> None:
        self.stride = spec.dense.stride
        self.layer = nn.Conv2d(spec.dense.channels, skeleton.num_joints + 1, kernel_size=1)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B C h w"]:
        logits: Tensor = self.layer(features.dense)
        return logits

    @override
    def encode(self, batch: Batch, shape: torch.Size) -> Target:
        labelled = batch.labelled
        grid = (shape[2], shape[3])
        points = to_grid(batch.keypoints, self.stride)
        radius = joint_radius(self.sigma, self.threshold)
        value = encode_joint_labels(points, labelled, grid, radius)
        known = known_cells(batch.valid, self.stride, grid)[:, None].float()
        # The background has a label where any joint has one.
        channels = torch.cat((labelled.any(dim=1, keepdim=True), labelled), dim=1)
        return Target(value, channels[..., None, None] * known)

    @override
    def loss(self, output: Float[Tensor, "B C h w"], target: Target) -> Float[Tensor, ""]:
        return joint_cross_entropy(output, target.value, target.weight)

    @override
    def decode(self, output: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Prediction:
        radius = joint_radius(self.sigma, self.threshold)
        points, scores = decode_joint_labels(F.softmax(output.float(), dim=1), radius)
        return Prediction(keypoints=from_grid(points, self.stride), scores=scores)
