"""Joint positions as two distributions, one over columns and one over rows."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs import decode_bins, encode_bins
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapName
from lightning_pose.float32 import in_float32
from lightning_pose.geometry import from_unit, to_unit
from lightning_pose.heads.base import Head
from lightning_pose.losses.heatmaps import spatial_cross_entropy
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["SimCCHead"]

Decoding = Literal["argmax", "expectation"]

Axes = tuple[Float[Tensor, "B K columns"], Float[Tensor, "B K rows"]]
"""One value per bin along x, and one per bin along y."""


class SimCCHead(Head):
    """Classifies the x and the y of each joint separately, into bins finer than a pixel.

    SimCC (Li et al., ECCV 2022, https://arxiv.org/abs/2107.03332): a point-wise layer makes one map
    per joint, whose cells are the input of two linear layers, which all joints share. Each target
    is a Gaussian around the coordinate, normalised over the bins (label smoothing), and the loss is
    the sum of the cross entropies along x and y. The score of a joint is the smaller of the two
    probabilities within two sigma of the most probable bin.

    The number of weights grows with the cells of the map times the bins: the input has one fixed
    size, and a fine map of a large image is costly.

    Args:
        bins_per_pixel: Bins per pixel of the input along each axis, the paper's splitting factor.
        sigma: Standard deviation of the Gaussians in pixels of the input.
        feature_map: The map that is read, "dense" or "deep".
        decoding: "argmax", the centre of the most probable bin, as in the paper, or "expectation",
            the mean position.

    Raises:
        ConfigError: A setting is out of range. `build` refuses an input without a fixed size.
    """

    fills: ClassVar = ("keypoints", "scores")

    def __init__(
        self,
        bins_per_pixel: float = 2.0,
        sigma: float = 3.0,
        feature_map: MapName = "dense",
        decoding: Decoding = "argmax",
    ) -> None:
        super().__init__()
        for name, number in (("bins_per_pixel", bins_per_pixel), ("sigma", sigma)):
            if not 0 < number < math.inf:
                raise ConfigError(
                    f"Expected SimCCHead.{name} above 0, found {number}; 2 bins per pixel and a "
                    "sigma of 3 pixels are usual."
                )
        for name, value, choices in (
            ("feature_map", feature_map, get_args(MapName)),
            ("decoding", decoding, get_args(Decoding)),
        ):
            if value not in choices:
                raise ConfigError(
                    f"Expected SimCCHead.{name} to be one of {list(choices)}, found {value!r}; "
                    "choose one of them."
                )
        self.bins_per_pixel = bins_per_pixel
        self.sigma = sigma
        self.feature_map: MapName = feature_map
        self.decoding: Decoding = decoding

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        size = task.input_spec.size
        if size is None:
            raise ConfigError(
                "Expected an input of one fixed size for SimCCHead, found input_spec.short_side "
                f"{task.input_spec.short_side}; set data.input_spec.size, or choose another head."
            )
        rows, columns = (round(side * self.bins_per_pixel) for side in size)
        if min(rows, columns) < 2:
            raise ConfigError(
                "Expected SimCCHead.bins_per_pixel that gives 2 bins or more along each axis of "
                f"{size[0]} x {size[1]} pixels, found {self.bins_per_pixel}; raise it."
            )
        self.skeleton = task.skeleton
        self.size = size
        self.bins = (rows, columns)
        read = spec.dense if self.feature_map == "dense" else spec.deep
        cells = read.height * read.width
        self.layer = nn.Conv2d(read.channels, self.skeleton.num_joints, kernel_size=1)
        self.columns = nn.Linear(cells, columns)
        self.rows = nn.Linear(cells, rows)

    @override
    def forward(self, features: Features) -> Axes:
        maps: Tensor = getattr(features, self.feature_map)
        cells = in_float32(self.layer, maps).flatten(2)
        return in_float32(self.columns, cells), in_float32(self.rows, cells)

    @override
    def encode(self, batch: Batch, output: Axes) -> tuple[Target, Target]:
        labelled = batch.labelled[..., None]
        unit = to_unit(batch.keypoints, self.size).masked_fill(~labelled, 0)
        positions = from_unit(unit, self.bins)
        sigma = self.sigma * self.bins_per_pixel
        x, y = (
            Target(encode_bins(positions[..., axis], one.shape[2], sigma), labelled.float())
            for axis, one in enumerate(output)
        )
        return x, y

    @override
    def loss(self, output: Axes, target: tuple[Target, Target]) -> LossTerms:
        # Each axis is a map of one row.
        axes = (
            spatial_cross_entropy(
                one[:, :, None], t.value[:, :, None], t.weight.expand_as(one)[:, :, None]
            )
            for one, t in zip(output, target, strict=True)
        )
        return LossTerms.join(*axes)

    @override
    def decode(self, output: Axes, size: tuple[int, int]) -> Prediction:
        sigma = self.sigma * self.bins_per_pixel
        (x, first), (y, second) = (
            decode_bins(one.float().softmax(dim=2), sigma, self.decoding) for one in output
        )
        unit = to_unit(torch.stack((x, y), dim=-1), self.bins)
        scores = torch.minimum(first, second).clamp(0, 1)
        return Prediction(keypoints=from_unit(unit, size), scores=scores)

    @override
    def unflip(self, output: Axes) -> Axes:
        x, y = (one[:, self.skeleton.flip_order] for one in output)
        return x.flip(-1), y

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        return {"layer.weight": self.skeleton.names, "layer.bias": self.skeleton.names}
