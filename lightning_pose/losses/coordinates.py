"""The distance between coordinates."""

from jaxtyping import Float
from torch import Tensor

from lightning_pose.losses.terms import LossTerms, weighted_sum

__all__ = ["mean_absolute_error", "mean_squared_error"]


def mean_absolute_error(
    output: Float[Tensor, "B K 2"], target: Float[Tensor, "B K 2"], weight: Float[Tensor, "B K 1"]
) -> LossTerms:
    """The absolute difference of coordinates, averaged over the labelled joints.

    Args:
        output: Predicted coordinates.
        target: True coordinates in the same unit.
        weight: 0 for a joint that is not labelled.

    Returns:
        One term that counts the x and y of each labelled joint.

    Example:
        >>> import torch
        >>> output = torch.tensor([[[1.0, 2.0], [7.0, 7.0]]])
        >>> weight = torch.tensor([[[1.0], [0.0]]])
        >>> mean_absolute_error(output, torch.zeros(1, 2, 2), weight).mean()
        tensor(1.5000)
    """
    return weighted_sum((output.float() - target).abs(), weight)


def mean_squared_error(
    output: Float[Tensor, "B K 2"], target: Float[Tensor, "B K 2"], weight: Float[Tensor, "B K 1"]
) -> LossTerms:
    """The squared difference of coordinates, averaged over the labelled joints.

    Args:
        output: Predicted coordinates.
        target: True coordinates in the same unit.
        weight: 0 for a joint that is not labelled.

    Returns:
        One term that counts the x and y of each labelled joint.

    Example:
        >>> import torch
        >>> output = torch.tensor([[[1.0, 2.0], [7.0, 7.0]]])
        >>> weight = torch.tensor([[[1.0], [0.0]]])
        >>> mean_squared_error(output, torch.zeros(1, 2, 2), weight).mean()
        tensor(2.5000)
    """
    return weighted_sum((output.float() - target).square(), weight)
