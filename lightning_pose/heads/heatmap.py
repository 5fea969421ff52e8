"""Joint positions from one heatmap per joint."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs.heatmaps import (
    decode_argmax,
    decode_dark,
    decode_expectation,
    decode_quarter,
    encode_gaussian,
    find_peaks,
    windows,
)
from lightning_pose.codecs.masks import known_cells
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.geometry import from_grid, to_grid
from lightning_pose.heads.base import Head
from lightning_pose.losses.heatmaps import heatmap_squared_error, spatial_cross_entropy
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["HeatmapHead"]

# With earlier maps, one output per map, in their order; the dense map's is the last.
Maps = Float[Tensor, "B K h w"] | tuple[Float[Tensor, "B K h w"], ...]

Criterion = Literal["mse", "cross_entropy"]
Unlabelled = Literal["ignore", "zero"]
Decoding = Literal["argmax", "quarter", "dark", "expectation"]


class HeatmapHead(Head):
    """Predicts one map per joint from the dense map; the target is a Gaussian at the joint.

    With the criterion "mse" the Gaussian has height 1, and the loss of a map is its squared error
    divided by the sum of squares of a whole Gaussian: a map of zeros costs 1 at any resolution, if
    sigma is at least the stride and the Gaussian lies inside the image. The score of a joint is the
    height of its peak. With "cross_entropy" the Gaussian is a distribution over the cells of the
    image, compared with a softmax over space. The score is the probability within two sigma of the
    peak.

    If the backbone has earlier dense maps, as a stacked hourglass has, maps are predicted from each
    of them as well, with a layer of its own, and the loss is the sum of all stages (intermediate
    supervision, Newell et al. 2016, https://arxiv.org/abs/1603.06937). Points are read from the
    last.

    Args:
        sigma: Standard deviation of the Gaussians in pixels of the input.
        criterion: How maps are compared.
        unlabelled: "ignore" leaves an unlabelled joint out of the loss; "zero" trains a map of
            zeros for it if the person has any label (as some implementations of Xiao et al. 2018,
            https://arxiv.org/abs/1804.06208, do). Only "mse" has a map that means that there is no
            joint.
        decoding: How points are read from the maps: as the centre of the largest cell, a quarter of
            a cell beside it, by a parabola through the logarithms ("dark"), or as the mean position
            within three sigma of it ("expectation"); see `lightning_pose.codecs`.

    Raises:
        ConfigError: `sigma` is not above 0, a choice is unknown, or "zero" is combined with
            "cross_entropy". `build` refuses a sigma below a tenth of the stride.
    """

    fills: ClassVar = ("keypoints", "scores")

    def __init__(
        self,
        sigma: float = 6.0,
        criterion: Criterion = "cross_entropy",
        unlabelled: Unlabelled = "ignore",
        decoding: Decoding = "dark",
    ) -> None:
        super().__init__()
        if not 0 < sigma < math.inf:
            raise ConfigError(
                f"Expected HeatmapHead.sigma above 0, found {sigma}; give it in pixels of the "
                "input, 1 to 3 times the stride of the map."
            )
        for name, value, choices in (
            ("criterion", criterion, get_args(Criterion)),
            ("unlabelled", unlabelled, get_args(Unlabelled)),
            ("decoding", decoding, get_args(Decoding)),
        ):
            if value not in choices:
                raise ConfigError(
                    f"Expected HeatmapHead.{name} to be one of {list(choices)}, "
                    f"found {value!r}; choose one of them."
                )
        if unlabelled == "zero" and criterion != "mse":
            raise ConfigError(
                "Expected HeatmapHead.criterion 'mse' with unlabelled 'zero', found "
                f"{criterion!r}, whose maps always sum to 1; set unlabelled to 'ignore' or "
                "criterion to 'mse'."
            )
        self.sigma = sigma
        self.criterion = criterion
        self.unlabelled = unlabelled
        self.decoding = decoding

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.skeleton = task.skeleton
        self.stride = spec.dense.stride
        self.cells = self.sigma / self.stride
        # A narrower Gaussian practically vanishes at the corner of a cell.
        if self.cells < 0.1:
            raise ConfigError(
                f"Expected HeatmapHead.sigma of {0.1 * self.stride:g} pixels or more on a map of "
                f"stride {self.stride}, found {self.sigma}; 1 to 3 times the stride is usual."
            )
        joints = self.skeleton.num_joints
        self.layer = nn.Conv2d(spec.dense.channels, joints, kernel_size=1)
        assert all(earlier.stride == self.stride for earlier in spec.aux), "they are dense maps"
        self.earlier = nn.ModuleList(
            nn.Conv2d(earlier.channels, joints, kernel_size=1) for earlier in spec.aux
        )
        if self.criterion == "mse":
            # Nearly all of a target is 0, so maps of zeros are the best start.
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.001)

    @override
    def forward(self, features: Features) -> Maps:
        last = in_float32(self.layer, features.dense)
        if not self.earlier:
            return last
        stages = zip(self.earlier, features.aux, strict=True)
        return (*(in_float32(layer, value) for layer, value in stages), last)

    @override
    def encode(self, batch: Batch, output: Maps) -> Target:
        labelled = batch.labelled
        last = _stages(output)[-1]
        grid = (last.shape[2], last.shape[3])
        known = known_cells(batch.valid, self.stride, grid)[:, None].float()
        points = to_grid(batch.keypoints, self.stride).masked_fill(~labelled[..., None], 0)
        value = encode_gaussian(points, grid, self.cells)
        if self.unlabelled == "zero":
            value = value * labelled[..., None, None]
            labelled = labelled.any(dim=1, keepdim=True).expand_as(labelled)
        weight = labelled[..., None, None] * known
        if self.criterion == "cross_entropy":
            value = value * known
            total = value.sum(dim=(2, 3), keepdim=True)
            value = value / total.clamp_min(torch.finfo(torch.float32).tiny)
        return Target(value, weight)

    @override
    def loss(self, output: Maps, target: Target) -> LossTerms:
        return LossTerms.join(*(self._stage_loss(maps, target) for maps in _stages(output)))

    def _stage_loss(self, maps: Float[Tensor, "B K h w"], target: Target) -> LossTerms:
        if self.criterion == "cross_entropy":
            return spatial_cross_entropy(maps, target.value, target.weight)
        # The integral of a squared Gaussian of height 1 is pi sigma^2.
        energy = math.pi * self.cells**2
        return heatmap_squared_error(maps, target.value, target.weight).times(1 / energy)

    @override
    def decode(self, output: Maps, size: tuple[int, int]) -> Prediction:
        maps = _stages(output)[-1].float()
        if self.criterion == "cross_entropy":
            maps = maps.flatten(2).softmax(dim=2).view_as(maps)
        match self.decoding:
            case "argmax":
                points = decode_argmax(maps)
            case "quarter":
                points = decode_quarter(maps)
            case "dark":
                points = decode_dark(maps, self.cells)
            case "expectation":
                points = decode_expectation(maps, self.cells)
        peaks, scores = find_peaks(maps)
        if self.criterion == "cross_entropy":
            scores = windows(maps, peaks, math.ceil(2 * self.cells)).sum(dim=(2, 3))
        return Prediction(keypoints=from_grid(points, self.stride), scores=scores.clamp(0, 1))

    @override
    def unflip(self, output: Maps) -> Maps:
        if isinstance(output, Tensor):
            return output.flip(-1)[:, self.skeleton.flip_order]
        return tuple(maps.flip(-1)[:, self.skeleton.flip_order] for maps in output)

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        layers = ["layer", *(f"earlier.{stage}" for stage in range(len(self.earlier)))]
        return {
            f"{layer}.{name}": self.skeleton.names
            for layer in layers
            for name in ("weight", "bias")
        }


def _stages(output: Maps) -> tuple[Float[Tensor, "B K h w"], ...]:
    return output if isinstance(output, tuple) else (output,)
