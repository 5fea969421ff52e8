"""The mean absolute error of an image-level label that is a number."""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import DataError, DivergedError
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.joints import SUM_DTYPE, quotient
from lightning_pose.metrics.judged import Judged

__all__ = ["MAE", "value_mae"]


def value_mae(preds: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """The mean absolute error of numbers, where the true one is known; see `MAE`.

    Args:
        preds: The predicted numbers.
        target: The true numbers in the same unit, NaN where unknown.

    Returns:
        The error in the unit of the numbers, NaN where none is known.

    Raises:
        DataError: Shapes do not fit.
        DivergedError: A prediction is not finite.

    Example:
        >>> value_mae(torch.tensor([172.0, 150.0]), torch.tensor([170.0, torch.nan]))
        tensor(2.)
    """
    _check_values(preds, target)
    return (preds.to(SUM_DTYPE) - target.to(SUM_DTYPE)).abs().nanmean().float()


def _check_values(preds: Tensor, target: Tensor) -> None:
    if preds.ndim != 1 or target.shape != preds.shape:
        raise DataError(
            f"Expected preds and target of one shape (B,), found {tuple(preds.shape)} and "
            f"{tuple(target.shape)}; give one number per person."
        )
    if not preds.isfinite().all():
        raise DivergedError(
            "Expected finite predictions, found NaN or infinity; "
            "look for the step at which the model diverged."
        )


class MAE(PoseMetric):
    """Mean absolute error of a number, such as the height of a person, in the number's own unit.

    People whose number is unknown are left out; `torchmetrics.MeanAbsoluteError` would be NaN.

    Example:
        >>> metric = MAE()
        >>> metric.update(preds=torch.tensor([172.0]), target=torch.tensor([170.0]))
        >>> metric.compute()
        tensor(2.)
    """

    needs = "value"
    higher_is_better = False
    plot_lower_bound = 0.0

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.zeros((), dtype=SUM_DTYPE), dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> None:
        """Sum the errors of a batch.

        Args:
            preds: The predicted numbers.
            target: The true numbers in the same unit, NaN where unknown.

        Raises:
            DataError: Shapes do not fit.
            DivergedError: A prediction is not finite.
        """
        _check_values(preds, target)
        self._add(preds, target)

    @override
    def judge(self, judged: Judged) -> Float[Tensor, " B"]:
        """Sum the errors of a batch.

        Args:
            judged: The predicted and the true numbers.

        Returns:
            The absolute error of each person, NaN where the number is unknown.
        """
        preds, target = judged.prediction.value, judged.label
        assert preds is not None, "the head fills the value"
        assert target is not None, "the record has the label of such a head"
        return self._add(preds, target)

    @torch.no_grad()
    def _add(self, preds: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        error = (preds.to(SUM_DTYPE) - target.to(SUM_DTYPE)).abs()
        self.total = self.total + error.nansum()
        self.count = self.count + error.isfinite().sum()
        return error.float()

    def compute(self) -> Float[Tensor, ""]:
        """The error in the unit of the numbers, NaN where none was known."""
        return quotient(self.total, self.count).float()
