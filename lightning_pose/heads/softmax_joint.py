"""Joint positions from a softmax over joint classes in each cell."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs.heatmaps import encode_gaussian, find_peaks
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

Decoding = Literal["disc", "argmax"]


class SoftmaxJointHead(Head):
    """Classifies each cell of the dense map as the background or as one joint.

    Channel 0 is the background, channel k + 1 joint k, with a softmax over channels. The target of
    a cell is the nearest labelled joint whose Gaussian exceeds the threshold there. The channel of
    a joint that is unlabelled for a person is left out of that person's loss: it is neither trained
    nor penalised. The score of a joint is its largest probability.

    Args:
        sigma: Standard deviation of a joint's Gaussian in pixels of the input.
        threshold: The height above which a Gaussian of height 1 claims a cell.
        balanced: Whether joints and background count half each in the loss, see
            `lightning_pose.losses.joint_cross_entropy`; otherwise every cell counts the same.
        soft: Whether the target of a joint's cell is the height of its Gaussian instead of 1, so
            that the edge of a joint teaches less than its centre. Nothing is added to the
            background: what is missing to 1 teaches nothing.
        decoding: How a joint is read from its channel: "disc" finds the centre of the disc that it
            covers, "argmax" the cell with the largest probability.

    Raises:
        ConfigError: `sigma` is not positive, `threshold` is not between 0 and 1, or the decoding is
            unknown.
    """

    fills: ClassVar = ("keypoints", "scores")

    def __init__(
        self,
        sigma: float = 4.0,
        threshold: float = 0.01,
        balanced: bool = True,
        soft: bool = False,
        decoding: Decoding = "disc",
    ) -> None:
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
        if decoding not in get_args(Decoding):
            raise ConfigError(
                f"Expected SoftmaxJointHead.decoding to be one of {list(get_args(Decoding))}, "
                f"found {decoding!r}; choose one of them."
            )
        self.sigma = sigma
        self.threshold = threshold
        self.balanced = balanced
        self.soft = soft
        self.decoding = decoding

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
        if self.soft:
            heights = encode_gaussian(points, grid, self.sigma / self.stride)
            classes = F.one_hot(value, self.skeleton.num_joints + 1).movedim(-1, 1)
            value = classes * F.pad(heights, (0, 0, 0, 0, 1, 0), value=1)  # 1 for the background.
        known = known_cells(batch.valid, self.stride, grid)[:, None].float()
        # The background is labelled if any joint is.
        channels = torch.cat((labelled.any(dim=1, keepdim=True), labelled), dim=1)
        return Target(value, channels[..., None, None] * known)

    @override
    def loss(self, output: Float[Tensor, "B C h w"], target: Target) -> LossTerms:
        return joint_cross_entropy(output, target.value, target.weight, self.balanced)

    @override
    def decode(self, output: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Prediction:
        probability = F.softmax(output.float(), dim=1)
        if self.decoding == "argmax":
            cells, scores = find_peaks(probability[:, 1:])
            points = cells.float()
        else:
            points, scores = decode_joint_labels(probability, self.radius)
        return Prediction(keypoints=from_grid(points, self.stride), scores=scores)

    @override
    def unflip(self, output: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        order = [0, *(joint + 1 for joint in self.skeleton.flip_order)]
        return output.flip(-1)[:, order]

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        rows = ["background", *self.skeleton.names]
        return {"layer.weight": rows, "layer.bias": rows}
