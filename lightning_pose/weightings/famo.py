"""Weights with which all losses fall at the same rate."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["FAMOWeighting"]

_DECAYS = (0.9, 0.999)
"""How much of its two moments Adam keeps."""


class FAMOWeighting(Weighting):
    """Gives the heads whose losses fall slowly larger weights, from the losses alone.

    From "FAMO: Fast Adaptive Multitask Optimization" (Liu et al., NeurIPS 2023,
    https://arxiv.org/abs/2306.03792). With shares z, the softmax of numbers that are learnt, the
    weight of a loss L is z / L, divided by the sum of these over the heads: the step lowers the
    sum of z log L. The weights of the heads that count in a batch add up to 1.

    After every optimiser step the losses of the same batch are computed again, with the same
    dropout, as in the paper and not from the next batch, whose other people would change the losses
    more than the step does. Adam then lowers the shares of the heads whose log L has fallen more
    than the others'. This costs one more forward pass per step, and batches cannot be accumulated.

    The losses are those over the people of all processes. A head without a label in the batch, or
    with a loss of 0 or below, which has no logarithm, does not count: it keeps its weight and the
    number from which its share is computed.

    Args:
        lr: The learning rate of the shares, above 0.
        weight_decay: How strongly the shares are pulled towards equal ones, 0 or more.

    Raises:
        ConfigError: A setting is out of its range.
    """

    judges_steps = True

    logits: Float[Tensor, " n"]
    moments: Float[Tensor, "2 n"]
    steps: Float[Tensor, " n"]
    before: Float[Tensor, " n"]

    def __init__(self, lr: float = 0.025, weight_decay: float = 1e-3) -> None:
        super().__init__()
        if not 0 < lr < math.inf or not 0 <= weight_decay < math.inf:
            raise ConfigError(
                "Expected FAMOWeighting.lr above 0 and weight_decay of 0 or more, found "
                f"{lr} and {weight_decay}; 0.025 and 0.001 are usual."
            )
        self.lr = lr
        self.weight_decay = weight_decay

    @override
    def build(self, head_names: Sequence[str]) -> None:
        super().build(head_names)
        count = len(self.head_names)
        # Buffers and not parameters: the optimiser of the network must not change them.
        self.register_buffer("logits", torch.zeros(count))
        self.register_buffer("moments", torch.zeros(2, count))
        self.register_buffer("steps", torch.zeros(count))
        self.register_buffer("before", torch.zeros(count), persistent=False)

    @override
    def observe(self, step: TrainingStep) -> None:
        self.before = losses = step.overall()
        positive = losses > 0
        shares = torch.where(positive, self.logits.softmax(dim=0) / losses, 0.0)
        self.current_weights = torch.where(positive, shares / shares.sum(), self.current_weights)

    @override
    def after_step(self, losses: Float[Tensor, " n"]) -> None:
        # A loss that has just become infinite stops the training in the next step.
        seen = (self.before > 0) & (losses > 0) & losses.isfinite()
        fallen = torch.where(seen, self.before / losses, 1.0).log()
        shares = torch.where(seen, self.logits.softmax(dim=0), 0.0)
        mean = (shares * fallen).sum() / shares.sum().clamp_min(1e-12)
        slopes = shares * (fallen - mean) + self.weight_decay * self.logits
        self.steps = self.steps + seen
        powers = (slopes, slopes.square())
        kept = [d * m + (1 - d) * p for d, m, p in zip(_DECAYS, self.moments, powers, strict=True)]
        self.moments = torch.where(seen, torch.stack(kept), self.moments)
        first, second = (
            moment / (1 - decay**self.steps)
            for decay, moment in zip(_DECAYS, self.moments, strict=True)
        )
        change = self.lr * first / (second.sqrt() + 1e-8)
        self.logits = torch.where(seen, self.logits - change, self.logits)
