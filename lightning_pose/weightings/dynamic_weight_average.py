"""Weights from how fast each head's loss has fallen over the last two epochs."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["DynamicWeightAverageWeighting"]


class DynamicWeightAverageWeighting(Weighting):
    """Gives the heads whose losses fall slowly a larger weight.

    From "End-to-End Multi-Task Learning with Attention" (Liu et al., CVPR 2019,
    https://arxiv.org/abs/1803.10704). With the mean training losses L of the last two epochs, the
    rate of a head is L(t-1) / L(t-2), and the weights are n times the softmax of the rates divided
    by the temperature, so that they add up to n, the number of heads. They change with the epoch,
    and are 1 in the first two.

    The mean of an epoch is that of its batches, over the people of all processes. Batches without a
    label of a head do not count for it; a head without any label in one of the two epochs has
    the rate 1.

    Args:
        temperature: Above 0; higher makes the weights more equal.

    Raises:
        ConfigError: `temperature` is not positive.
    """

    epoch: Int64[Tensor, ""]
    sums: Float[Tensor, " n"]
    counts: Float[Tensor, " n"]
    last: Float[Tensor, " n"]

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ConfigError(
                "Expected DynamicWeightAverageWeighting.temperature above 0, found "
                f"{temperature}; 2 is usual."
            )
        self.temperature = temperature

    @override
    def build(self, head_names: Sequence[str]) -> None:
        super().build(head_names)
        # Buffers, so that a resumed run continues with them. A mean of 0 is unknown.
        self.register_buffer("epoch", torch.tensor(-1))
        for name in ("sums", "counts", "last"):
            self.register_buffer(name, torch.zeros(len(self.head_names)))

    @override
    def observe(self, step: TrainingStep) -> None:
        if step.epoch != int(self.epoch):
            self._finish_epoch()
            self.epoch = torch.full_like(self.epoch, step.epoch)
        losses = step.overall()
        self.sums = self.sums + losses
        self.counts = self.counts + (losses != 0)

    def _finish_epoch(self) -> None:
        """Set the weights from the epoch that has ended and the one before it."""
        means = self.sums / self.counts.clamp_min(1)
        known = (means != 0) & (self.last != 0)
        rates = torch.where(known, means / self.last, 1.0)
        self.current_weights = len(rates) * torch.softmax(rates / self.temperature, dim=0)
        self.last = means
        self.sums, self.counts = torch.zeros_like(means), torch.zeros_like(means)
