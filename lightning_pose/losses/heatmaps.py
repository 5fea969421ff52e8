"""Losses of heatmaps, one map a joint."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_pose.losses.mean import weighted_mean

__all__ = ["heatmap_squared_error", "spatial_cross_entropy"]


def heatmap_squared_error(
    output: Float[Tensor, "B K h w"],
    target: Float[Tensor, "B K h w"],
    weight: Float[Tensor, "B K h w"],
) -> Float[Tensor, ""]:
    """The squared error of a whole map, as the mean over the maps that are labelled.

    The squares are summed over the cells of a map, not averaged: nearly all cells of a heatmap are
    0, so that a mean over them would shrink with the square of the resolution.

    Args:
        output: Predicted heatmaps.
        target: True heatmaps.
        weight: 0 for a cell that is not known and for every cell of a map that is not labelled.

    Returns:
        The mean over the labelled maps of the batch.

    Example:
        >>> maps = torch.zeros(1, 2, 2, 2)
        >>> weight = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 2)
        >>> heatmap_squared_error(maps, maps + 1, weight)
        tensor(4.)
    """
    error = (weight * (output.float() - target).square()).sum(dim=(2, 3))
    return weighted_mean(error, weight.amax(dim=(2, 3)))


def spatial_cross_entropy(
    output: Float[Tensor, "B K h w"],
    target: Float[Tensor, "B K h w"],
    weight: Float[Tensor, "B K h w"],
) -> Float[Tensor, ""]:
    """The cross entropy of a softmax over space, as the mean over the maps that are labelled.

    Args:
        output: Logits; cells that are not known take no part in the softmax.
        target: Probabilities that sum to 1 over the known cells of a labelled map.
        weight: 0 for a cell that is not known and for every cell of a map that is not labelled.

    Returns:
        The mean over the labelled maps of the batch, at least the mean entropy of the targets.

    Example:
        >>> target = torch.tensor([[[[1.0, 0.0]]]])
        >>> spatial_cross_entropy(torch.zeros(1, 1, 1, 2), target, torch.ones(1, 1, 1, 2))
        tensor(0.6931)
    """
    # A finite stand-in for minus infinity: 0 times it is 0, and a map without a known cell has a
    # softmax and a gradient without NaN.
    lowest = torch.finfo(torch.float32).min
    logits = output.float().masked_fill(weight == 0, lowest)
    known_target = target.masked_fill(weight == 0, 0)
    # With probabilities that sum to 1, -sum(p log softmax(z)) is logsumexp(z) - sum(p z).
    entropy = logits.flatten(2).logsumexp(dim=2) - (known_target * logits).sum(dim=(2, 3))
    return weighted_mean(entropy, weight.amax(dim=(2, 3)))
