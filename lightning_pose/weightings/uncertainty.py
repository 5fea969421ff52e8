"""Weights learnt as the uncertainty of each head."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["UncertaintyWeighting"]


class UncertaintyWeighting(Weighting):
    """Learns a variance for each head, by which its loss is divided.

    The total is the sum over the heads of L / (2 s^2) + log s, the form for regression of
    "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics"
    (Kendall et al., CVPR 2018, https://arxiv.org/abs/1705.07115), here for losses of every kind.
    What is learnt is log s^2, which starts at 0. For a constant loss L the optimum is s^2 = L, so
    that heads with large losses have small weights, 1 / (2 s^2).

    The optimiser learns the variances with its own learning rate, without weight decay. A batch
    without labels for a head gives its variance no gradient. The total can be negative.

    Example:
        >>> weighting = UncertaintyWeighting()
        >>> weighting.build(["mask", "joints"])
        >>> weighting({"mask": torch.tensor(4.0), "joints": torch.tensor(1.0)}).item()
        2.5
    """

    labelled: Bool[Tensor, " n"]

    @override
    def build(self, head_names: Sequence[str]) -> None:
        self.head_names = list(head_names)
        self.log_variances = nn.Parameter(torch.zeros(len(self.head_names)))
        every = torch.ones(len(self.head_names), dtype=torch.bool)
        self.register_buffer("labelled", every, persistent=False)

    @override
    def observe(self, step: TrainingStep) -> None:
        # In any process: a variance that is learnt in one process is the same in all.
        self.labelled = step.overall() != 0

    @override
    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        # Without a label the loss is 0, for which the best variance would be 0.
        logs = torch.where(self.labelled, self.log_variances, self.log_variances.detach())
        return (0.5 * torch.exp(-logs) * self.stack(losses) + 0.5 * logs).sum()

    @override
    def head_weights(self) -> dict[str, Float[Tensor, ""]]:
        weights = 0.5 * torch.exp(-self.log_variances.detach())
        return dict(zip(self.head_names, weights, strict=True))
