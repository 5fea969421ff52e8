"""The geometric mean of the losses."""

import torch
from typing_extensions import override

from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["GeometricMeanWeighting"]


class GeometricMeanWeighting(Weighting):
    """Minimises the geometric mean of the losses, to which the unit of a loss makes no difference.

    From "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
    Learning" (Chennupati et al., CVPRW 2019, https://arxiv.org/abs/1904.08492). The gradient of the
    mean G of n losses L is the sum of G / (n L) times the gradient of each, so these are the
    weights. They are computed from the losses over all processes, of which a process alone could
    not take the mean. With them, the total of a training batch is the geometric mean.

    The mean is over the heads that have labels in the batch; another head keeps its weight, as does
    one with a loss of 0 or below, which has no logarithm. Batches that are accumulated to one step
    have weights of their own.
    """

    @override
    def observe(self, step: TrainingStep) -> None:
        losses = step.overall()
        positive = losses > 0
        count = positive.sum()
        mean = torch.exp(torch.where(positive, losses, 1.0).log().sum() / count.clamp_min(1))
        self.current_weights = torch.where(positive, mean / (count * losses), self.current_weights)
