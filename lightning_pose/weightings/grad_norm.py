"""Weights learnt so that the heads' gradients balance."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["GradNormWeighting"]


class GradNormWeighting(Weighting):
    """Learns weights with which heads that lag behind have larger gradients.

    From "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks"
    (Chen et al., ICML 2018, https://arxiv.org/abs/1711.02257). With the weight w and the gradient
    norm g of each head, the weights minimise the sum of |w g - mean(w g) r^alpha|, where r is the
    loss relative to that of the head's first batch, divided by the mean of that over the heads. The
    second term counts as constant.

    As the paper leaves open how the weights are learnt, some choices are ours. The gradients are
    those at the shared features, not at the last shared layer. The weights are n times the softmax
    of parameters, so that they add up to n, the number of heads, without being rescaled. The
    optimiser learns them with its own learning rate: one backward pass serves accumulation, loss
    scaling and several processes. The sum is divided by mean(w g), without which the size of a step
    would depend on the unit of the losses.

    Heads without labels in a batch, or with gradients that are not finite, do not count in it. Of
    batches that are accumulated to one step, each has its own norms and losses in the sum.

    Args:
        alpha: 0 or more; 0 makes the norms equal, and higher values favour heads that lag behind.

    Raises:
        ConfigError: `alpha` is negative or not finite.
    """

    first_losses: Float[Tensor, " n"]
    slopes: Float[Tensor, " n"]

    def __init__(self, alpha: float = 1.5) -> None:
        super().__init__()
        if not 0 <= alpha < math.inf:
            raise ConfigError(
                f"Expected GradNormWeighting.alpha of 0 or more, found {alpha}; 1.5 is usual."
            )
        self.alpha = alpha

    @override
    def build(self, head_names: Sequence[str]) -> None:
        self.head_names = list(head_names)
        count = len(self.head_names)
        self.logits = nn.Parameter(torch.zeros(count))
        # 0 until the head has had a label.
        self.register_buffer("first_losses", torch.zeros(count))
        self.register_buffer("slopes", torch.zeros(count), persistent=False)

    @override
    def observe(self, step: TrainingStep) -> None:
        norms = step.gramian().diagonal().sqrt()
        losses = step.overall()
        self.first_losses = torch.where(self.first_losses == 0, losses, self.first_losses)
        counted = (norms > 0) & norms.isfinite() & (losses > 0)
        count = counted.sum().clamp_min(1)
        progress = torch.where(counted, losses / self.first_losses, 0.0)
        lag = progress * count / progress.sum()
        norms = torch.where(counted, norms, 0.0)
        weighted = self._weights().detach() * norms
        mean = weighted.sum() / count
        slopes = torch.sign(weighted - mean * lag**self.alpha) * norms / mean
        self.slopes = torch.where(counted, slopes, 0.0)

    @override
    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        weights = self._weights()
        constant = weights.detach()
        # The second term is 0. Its gradient is that of the balance, and reaches only the weights.
        balance = (self.slopes * (weights - constant)).sum()
        return (constant * self.stack(losses)).sum() + balance

    @override
    def head_weights(self) -> dict[str, Float[Tensor, ""]]:
        return dict(zip(self.head_names, self._weights().detach(), strict=True))

    def _weights(self) -> Float[Tensor, " n"]:
        return len(self.head_names) * torch.softmax(self.logits, dim=0)
