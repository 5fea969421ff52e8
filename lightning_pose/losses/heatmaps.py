"""Losses of heatmaps, one map per joint."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_pose.losses.terms import LossTerms, weighted_sum

__all__ = ["heatmap_squared_error", "spatial_cross_entropy"]


def heatmap_squared_error(
    output: Float[Tensor, "B K h w"],
    target: Float[Tensor, "B K h w"],
    weight: Float[Tensor, "B K h w"],
) -> LossTerms:
    """The squared error of a whole map, averaged over the labelled maps.

    The squares are summed over the cells of a map, not averaged: nearly all cells of a heatmap are
    0, so a mean over them would shrink with the square of the resolution.

    Args:
        output: Predicted heatmaps.
        target: True heatmaps.
        weight: 0 for unknown cells and for every cell of an unlabelled map.

    Returns:
        One term that counts each labelled map.

    Example:
        >>> maps = torch.zeros(1, 2, 2, 2)
        >>> weight = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 2)
        >>> heatmap_squared_error(maps, maps + 1, weight).mean()
        tensor(4.)
    """
    error = (weight * (output.float() - target).square()).sum(dim=(2, 3))
    return weighted_sum(error, weight.amax(dim=(2, 3)))


def spatial_cross_entropy(
    output: Float[Tensor, "B K h w"],
    target: Float[Tensor, "B K h w"],
    weight: Float[Tensor, "B K h w"],
) -> LossTerms:
    """The cross entropy of a softmax over space, averaged over the labelled maps.

    Args:
        output: Logits; unknown cells are left out of the softmax.
        target: Probabilities that sum to 1 over the known cells of a labelled map.
        weight: 0 for unknown cells and for every cell of an unlabelled map.

    Returns:
        One term that counts each labelled map; its mean is at least the entropy of the targets.

    Example:
        >>> target = torch.tensor([[[[1.0, 0.0]]]])
        >>> spatial_cross_entropy(torch.zeros(1, 1, 1, 2), target, torch.ones(1, 1, 1, 2)).mean()
        tensor(0.6931)
    """
    # A finite stand-in for minus infinity: 0 times it is 0, and a map without known cells has no
    # NaN in its softmax or gradient.
    lowest = torch.finfo(torch.float32).min
    logits = output.float().masked_fill(weight == 0, lowest)
    known_target = target.masked_fill(weight == 0, 0)
    # With probabilities that sum to 1, -sum(p log softmax(z)) is logsumexp(z) - sum(p z).
    entropy = logits.flatten(2).logsumexp(dim=2) - (known_target * logits).sum(dim=(2, 3))
    return weighted_sum(entropy, weight.amax(dim=(2, 3)))
