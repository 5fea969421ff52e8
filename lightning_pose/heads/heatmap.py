"""Where the joints are, as one heatmap a joint."""

import math
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch, Features, FeatureSpec, Prediction, Target
from lightning_pose.codecs.heatmaps import (
    decode_argmax,
    decode_dark,
    decode_quarter,
    encode_gaussian,
    find_peaks,
    windows,
)
from lightning_pose.codecs.masks import known_cells
from lightning_pose.errors import InputError
from lightning_pose.geometry import from_grid, to_grid
from lightning_pose.heads.base import Head
from lightning_pose.losses.heatmaps import heatmap_squared_error, spatial_cross_entropy
from lightning_pose.skeletons import Skeleton

__all__ = ["HeatmapHead"]

Criterion = Literal["mse", "cross_entropy"]
Unlabelled = Literal["ignore", "zero"]
Decoding = Literal["argmax", "quarter", "dark"]


class HeatmapHead(Head):
    """Predicts one map a joint from the dense map, with a Gaussian at the joint as its target.

    With the criterion "mse" the Gaussian has height 1, and the loss of a map is its squared error
    divided by the squares of a whole Gaussian: a map of zeros costs 1, whatever the resolution,
    where sigma is 1 or more and the Gaussian lies inside the picture. The score of a joint is the
    height of its peak.
    With "cross_entropy" the Gaussian is a distribution over the cells of the picture, compared with
    a softmax over space. The score is the probability within two sigma of the peak.

    Args:
        sigma: Standard deviation of the Gaussians in cells of the dense map.
        criterion: How maps are compared.
        unlabelled: "ignore" leaves a joint without a label out of the loss; "zero" teaches a map
            of zeros for it (Xiao et al. 2018, https://arxiv.org/abs/1804.06208, as some train it),
            where the person has any label. Only "mse" has a map that means nothing is here.
        decoding: How points are read out of maps, see `lightning_pose.codecs`.

    Raises:
        InputError: `sigma` is less than 0.1, a choice is not known, or "zero" is combined with
            "cross_entropy".
    """

    predicts: ClassVar = "keypoints"

    def __init__(
        self,
        sigma: float = 1.5,
        criterion: Criterion = "cross_entropy",
        unlabelled: Unlabelled = "ignore",
        decoding: Decoding = "dark",
    ) -> None:
        super().__init__()
        # Of a narrower Gaussian a cell's corner sees nothing.
        if not 0.1 <= sigma < math.inf:
            raise InputError(
                f"Expected HeatmapHead.sigma of 0.1 cells of the map or more, found {sigma}; 1 to "
                "3 is usual."
            )
        for name, value, choices in (
            ("criterion", criterion, get_args(Criterion)),
            ("unlabelled", unlabelled, get_args(Unlabelled)),
            ("decoding", decoding, get_args(Decoding)),
        ):
            if value not in choices:
                raise InputError(
                    f"Expected HeatmapHead.{name} to be one of {list(choices)}, "
                    f"found {value!r}; choose one of them."
                )
        if unlabelled == "zero" and criterion != "mse":
            raise InputError(
                "Expected HeatmapHead.criterion 'mse' with unlabelled 'zero', found "
                f"{criterion!r}, whose maps always sum to 1; choose unlabelled 'ignore' or 'mse'."
            )
        self.sigma = sigma
        self.criterion = criterion
        self.unlabelled = unlabelled
        self.decoding = decoding

    @override
    def build(self, spec: FeatureSpec, skeleton: Skeleton, input_size: tuple[int, int]) -> None:
        self.stride = spec.dense.stride
        self.layer = nn.Conv2d(spec.dense.channels, skeleton.num_joints, kernel_size=1)
        if self.criterion == "mse":
            # Nearly all of a target is 0, so that maps of 0 are the best start.
            for parameter in self.layer.parameters():
                nn.init.normal_(parameter, std=0.001)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B K h w"]:
        maps: Tensor = self.layer(features.dense)
        return maps

    @override
    def encode(self, batch: Batch, shape: torch.Size) -> Target:
        labelled = batch.labelled
        grid = (shape[2], shape[3])
        known = known_cells(batch.valid, self.stride, grid)[:, None].float()
        points = to_grid(batch.keypoints, self.stride).masked_fill(~labelled[..., None], 0)
        value = encode_gaussian(points, grid, self.sigma)
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
    def loss(self, output: Float[Tensor, "B K h w"], target: Target) -> Float[Tensor, ""]:
        if self.criterion == "cross_entropy":
            return spatial_cross_entropy(output, target.value, target.weight)
        # The integral of a squared Gaussian of height 1 is pi sigma^2.
        energy = math.pi * self.sigma**2
        return heatmap_squared_error(output, target.value, target.weight) / energy

    @override
    def decode(self, output: Float[Tensor, "B K h w"], size: tuple[int, int]) -> Prediction:
        maps = output.float()
        if self.criterion == "cross_entropy":
            maps = maps.flatten(2).softmax(dim=2).view_as(maps)
        match self.decoding:
            case "argmax":
                points = decode_argmax(maps)
            case "quarter":
                points = decode_quarter(maps)
            case "dark":
                points = decode_dark(maps, self.sigma)
        peaks, scores = find_peaks(maps)
        if self.criterion == "cross_entropy":
            scores = windows(maps, peaks, math.ceil(2 * self.sigma)).sum(dim=(2, 3))
        return Prediction(keypoints=from_grid(points, self.stride), scores=scores.clamp(0, 1))
