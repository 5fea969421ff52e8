"""Training steps whose losses and gradients are given as numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_pose.features import Features
from lightning_pose.weightings import TrainingStep


def make_step(
    losses: Sequence[float],
    gradients: Tensor | None = None,
    step: int = 0,
    epoch: int = 0,
    names: Sequence[str] = "abcdefgh",
) -> TrainingStep:
    """A step with these losses, and with these gradients at the features, one row per head."""
    names = names[: len(losses)]
    gradients = torch.eye(len(losses)) if gradients is None else gradients
    # The features are 0, so that they change no loss.
    dense = torch.zeros(1, gradients.shape[1], 1, 1, requires_grad=True)
    views = {name: Features(dense, dense).view() for name in names}
    values = {
        name: loss + (views[name].dense.flatten() * row).sum()
        for name, loss, row in zip(names, losses, gradients, strict=True)
    }
    return TrainingStep(values, views, step, epoch, lambda value: value)
