"""A number that describes the person, such as height or weight."""

import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapName
from lightning_pose.heads.base import Head
from lightning_pose.heads.pooled import PooledLayers, check_label, check_pooling
from lightning_pose.losses.terms import LossTerms, weighted_sum
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["ValueHead"]


class ValueHead(Head):
    """Predicts an image-level label that is a number from the mean of a feature map.

    The network predicts how many standard deviations the number is from the mean, and the loss is
    the mean absolute error in that unit, over the people whose number is known.

    Mean and standard deviation are settings, and therefore in the checkpoint, rather than estimates
    from the batches, so that the loss depends neither on the batch size nor on the number of
    processes. They need not be exact: the layers learn what remains.

    Args:
        label: The name of the label in the data; it must not have classes.
        mean: About the mean of the label over people, in its own unit.
        std: About its standard deviation, in the same unit.
        feature_map: The map whose mean is taken, "dense" or "deep".
        hidden: Units of a hidden layer with ReLU; None leaves it out.

    Raises:
        ConfigError: A setting is out of range. `build` refuses a label that the data do not have or
            that has classes.

    Example:
        >>> import torch
        >>> head = ValueHead("height", mean=170.0, std=10.0)
        >>> head.decode(torch.tensor([0.0, -1.5]), size=(64, 64)).value
        tensor([170., 155.])
    """

    fills: ClassVar = ("value",)
    label: str

    def __init__(
        self,
        label: str,
        mean: float,
        std: float,
        feature_map: MapName = "deep",
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        check_pooling("ValueHead", feature_map, hidden)
        if not (math.isfinite(mean) and 0 < std < math.inf):
            raise ConfigError(
                f"Expected ValueHead.mean as a finite number and std above 0, found {mean} and "
                f"{std}; give about those of {label!r} over people, in its own unit."
            )
        self.label = label
        self.mean = mean
        self.std = std
        self.feature_map: MapName = feature_map
        self.hidden = hidden

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        check_label("ValueHead", self.label, task, has_classes=False)
        self.layers = PooledLayers(spec, 1, self.feature_map, self.hidden)

    @override
    def forward(self, features: Features) -> Float[Tensor, " B"]:
        number: Tensor = self.layers(features)[:, 0]
        return number

    @override
    def encode(self, batch: Batch, output: Float[Tensor, " B"]) -> Target:
        value = batch.labels[self.label]
        known = value.isfinite()
        return Target(((value - self.mean) / self.std).masked_fill(~known, 0), known.float())

    @override
    def loss(self, output: Float[Tensor, " B"], target: Target) -> LossTerms:
        return weighted_sum((output.float() - target.value).abs(), target.weight)

    @override
    def decode(self, output: Float[Tensor, " B"], size: tuple[int, int]) -> Prediction:
        return Prediction(value=output.float() * self.std + self.mean)

    @override
    def unflip(self, output: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        return output
