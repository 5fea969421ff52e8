"""The mean over what is labelled."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["weighted_mean"]


def weighted_mean(
    values: Float[Tensor, "*shape"], weight: Float[Tensor, "*#shape"]
) -> Float[Tensor, ""]:
    """The weighted mean of values, 0 with a gradient of 0 where every weight is 0.

    Args:
        values: One value an element.
        weight: 0 or more, broadcastable to the values.

    Returns:
        The sum of weight times value, divided by the sum of the weights.

    Example:
        >>> weighted_mean(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 1.0, 0.0]))
        tensor(1.5000)
        >>> weighted_mean(torch.tensor([1.0]), torch.tensor([0.0]))
        tensor(0.)
    """
    weight = weight.expand_as(values)
    # Any divisor does where the sum is 0, as long as it is not 0 itself.
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(torch.float32).tiny)
