"""One heatmap in which every joint is a peak."""

import math
from typing import ClassVar, Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs.masks import known_cells
from lightning_pose.codecs.shared_heatmaps import encode_shared_heatmap
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.geometry import to_grid
from lightning_pose.heads.base import Head
from lightning_pose.losses.terms import LossTerms, weighted_sum
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["SharedHeatmapHead"]

Unlabelled = Literal["ignore", "zero"]


class SharedHeatmapHead(Head):
    """Predicts one map from the dense map, in which every joint is a peak.

    The target has a one in the cell of each joint, is blurred by a Gaussian, divided by its maximum
    and multiplied by `scale`; the loss is the mean squared error over the cells. It says where
    joints are, but not which: the head fills no keypoints.

    Nearly all of the target is 0, so a map of zeros has a small error, which grows with the square
    of the scale. At scale 1 it is a few thousandths per cell: while a mask is learnt beside it, the
    map is hardly learnt. At 100 it is a hundred times the loss of a mask, which is then learnt
    slowly.

    Args:
        sigma: Standard deviation of the Gaussian in pixels of the input.
        scale: The height of the highest peak of the target.
        unlabelled: What a person with an unlabelled joint teaches. That joint may be near any cell,
            so "ignore" leaves out the whole map, unless the joint is only outside the crop. With
            "zero", the map has the labelled joints alone, as if there were no others: for data in
            which few people have all joints. A person without a labelled joint in the crop teaches
            nothing.

    Raises:
        ConfigError: `sigma` or `scale` is not above 0, or the choice is unknown.
    """

    fills: ClassVar = ("heatmap",)

    def __init__(
        self, sigma: float = 4.0, scale: float = 100.0, unlabelled: Unlabelled = "ignore"
    ) -> None:
        super().__init__()
        for name, value in (("sigma", sigma), ("scale", scale)):
            if not 0 < value < math.inf:
                raise ConfigError(
                    f"Expected SharedHeatmapHead.{name} above 0, found {value}; correct the head."
                )
        if unlabelled not in get_args(Unlabelled):
            raise ConfigError(
                f"Expected SharedHeatmapHead.unlabelled to be one of {list(get_args(Unlabelled))}, "
                f"found {unlabelled!r}; choose one of them."
            )
        self.sigma = sigma
        self.scale = scale
        self.unlabelled = unlabelled

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.stride = spec.dense.stride
        self.layer = nn.Conv2d(spec.dense.channels, 1, kernel_size=1)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B 1 h w"]:
        return in_float32(self.layer, features.dense)

    @override
    def encode(self, batch: Batch, output: Float[Tensor, "B 1 h w"]) -> Target:
        grid = (output.shape[2], output.shape[3])
        points = to_grid(batch.keypoints, self.stride)
        value = encode_shared_heatmap(points, batch.labelled, grid, self.sigma / self.stride)
        known = known_cells(batch.valid, self.stride, grid)
        teaches = batch.labelled.any(dim=1)
        if self.unlabelled == "ignore":
            # A joint that is labelled in the source and not here lies outside the crop.
            teaches = teaches & batch.source_labelled.all(dim=1)
        weight = known & teaches[:, None, None]
        return Target(self.scale * value, weight[:, None].float())

    @override
    def loss(self, output: Float[Tensor, "B 1 h w"], target: Target) -> LossTerms:
        return weighted_sum((output.float() - target.value).square(), target.weight)

    @override
    def decode(self, output: Float[Tensor, "B 1 h w"], size: tuple[int, int]) -> Prediction:
        return Prediction(heatmap=output.float() / self.scale)

    @override
    def unflip(self, output: Float[Tensor, "B 1 h w"]) -> Float[Tensor, "B 1 h w"]:
        return output.flip(-1)
