"""A loss as a sum and a weight, so that it can be divided by the labels of all processes."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LossTerms", "over_processes", "weighted_sum"]


class LossTerms(NamedTuple):
    """T sums over labelled elements, and the weight that each sum is divided by.

    The loss is the sum over its terms of sum / weight; most losses have one term. A balanced loss
    (half joints, half background) has two, since each half is divided by its own weight. Sums and
    weights add up over batches and processes; means do not.

    Attributes:
        sum: The weighted sums, with a gradient.
        weight: How much was labelled, in the unit of the sum: joints, images, cells.

    Example:
        >>> terms = LossTerms(torch.tensor([6.0]), torch.tensor([4.0]))
        >>> terms.mean()
        tensor(1.5000)
    """

    sum: Float[Tensor, " T"]
    weight: Float[Tensor, " T"]

    def mean(self, weight: Float[Tensor, " T"] | None = None) -> Float[Tensor, ""]:
        """Divide by the weights; a term without labels is 0 with a gradient of 0.

        Args:
            weight: The weights to divide by instead, such as their mean over processes.

        Returns:
            The loss.
        """
        weight = self.weight if weight is None else weight
        # Where the sum is 0, any divisor but 0 will do; 1 overflows in no gradient.
        return (self.sum / weight.where(weight > 0, 1)).sum()

    def times(self, factor: float) -> "LossTerms":
        """The terms of the loss times a factor."""
        return LossTerms(self.sum * factor, self.weight)

    @classmethod
    def join(cls, *losses: "LossTerms") -> "LossTerms":
        """The terms of the sum of several losses, such as those of a head's stages.

        Example:
            >>> one = LossTerms(torch.tensor([6.0]), torch.tensor([4.0]))
            >>> LossTerms.join(one, one.times(2.0)).mean()
            tensor(4.5000)
        """
        return cls(*(torch.cat(column) for column in zip(*losses, strict=True)))


def weighted_sum(values: Float[Tensor, "*shape"], weight: Float[Tensor, "*#shape"]) -> LossTerms:
    """Sum weighted values, as the single term of a loss that is their weighted mean.

    Args:
        values: One value per element.
        weight: 0 or more, broadcastable to the values.

    Returns:
        The sum of weight times value, and the sum of the weights.

    Example:
        >>> weighted_sum(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 1.0, 0.0])).mean()
        tensor(1.5000)
        >>> weighted_sum(torch.tensor([1.0]), torch.tensor([0.0])).mean()
        tensor(0.)
    """
    weight = weight.expand_as(values)
    return LossTerms((values * weight).sum()[None], weight.sum()[None])


def over_processes(
    terms: Mapping[str, LossTerms], mean: Callable[[Tensor], Tensor]
) -> tuple[dict[str, Float[Tensor, ""]], dict[str, LossTerms]]:
    """Divide losses by the labels of all processes, with one exchange between processes.

    DDP averages gradients. With each process's sum divided by the mean weight of the processes, the
    average is the gradient of a single process with all people, even if labels are unequal.

    Args:
        terms: The losses of this process by name.
        mean: The mean of a tensor over all processes.

    Returns:
        The losses of this process, with a gradient, and the mean terms of all processes, without
        one; the quotient of the latter is the loss over all people.

    Example:
        >>> terms = {"mask": LossTerms(torch.tensor([6.0]), torch.tensor([4.0]))}
        >>> losses, overall = over_processes(terms, mean=lambda table: table / 2)
        >>> losses["mask"], overall["mask"].mean()
        (tensor(3.), tensor(1.5000))
    """
    tables = [torch.stack((one.sum.detach(), one.weight)) for one in terms.values()]
    overall = mean(torch.cat(tables, dim=1)).split([table.shape[1] for table in tables], dim=1)
    means = {n: LossTerms(*table) for n, table in zip(terms, overall, strict=True)}
    return {name: one.mean(means[name].weight) for name, one in terms.items()}, means
