"""The root of the mean squared distance between predicted and true joints."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchmetrics import Metric

from lightning_pose.errors import InputError
from lightning_pose.metrics.joints import (
    SUM_DTYPE,
    Average,
    check_average,
    check_num_joints,
    check_per_person,
    over_joints,
    squared_errors,
)

__all__ = ["RMSE", "keypoint_rmse"]


def keypoint_rmse(
    preds: Float[Tensor, "B K 2"],
    target: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
    scale: Float[Tensor, " B"],
    average: Average = "micro",
) -> Float[Tensor, "*K"]:
    """The Euclidean root mean squared error of labelled joints; see `RMSE`.

    Args:
        preds: Predicted (x, y) in source pixels.
        target: True (x, y) in source pixels.
        labelled: Which joints have a true position.
        scale: How many pixels of the wanted unit one source pixel is, for each person.
        average: "micro", "macro" or "none".

    Returns:
        An error in the wanted unit, or one a joint; NaN where nothing was labelled.

    Raises:
        InputError: Shapes or types do not fit, a prediction is not finite, or a scale not above 0.

    Example:
        >>> preds = torch.tensor([[[3.0, 4.0]]])
        >>> known = torch.tensor([[True]])
        >>> keypoint_rmse(preds, torch.zeros(1, 1, 2), known, scale=torch.tensor([2.0]))
        tensor(10.)
    """
    check_average(average)
    return over_joints(*_sums(preds, target, labelled, scale), average, root=True)


def _sums(
    preds: Tensor, target: Tensor, labelled: Tensor, scale: Tensor
) -> tuple[Float[Tensor, " K"], Int64[Tensor, " K"]]:
    """The sum of squared errors of each joint, and how often it occurred."""
    squared = squared_errors(preds, target, labelled)
    check_per_person("scale", scale, len(preds))
    if not (scale.isfinite() & (scale > 0)).all():
        raise InputError(
            "Expected a finite scale above 0 for each person, found another; "
            "take it from geometry.crop_scale, or 1 for source pixels."
        )
    squared = squared * scale.to(SUM_DTYPE).square()[:, None]
    return squared.sum(dim=0), labelled.sum(dim=0)


class RMSE(Metric):
    """Root mean squared error of the joints, Euclidean: the root of the mean squared distance.

    `torchmetrics.MeanSquaredError` takes x and y for two errors, so that its root is smaller by
    the square root of 2. Each distance is multiplied by its person's scale, so that the error can
    be told in pixels of the crop. States are sums and counts, so that neither the batch size nor
    the number of processes changes the result.

    Args:
        num_joints: K, the number of joints.
        average: "micro" to count every labelled joint once, "macro" for the mean of the per-joint
            values, which leaves out joints that never occur, "none" for one value a joint.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> metric = RMSE(num_joints=2)
        >>> metric.update(
        ...     preds=torch.tensor([[[3.0, 4.0], [0.0, 5.0]]]),
        ...     target=torch.zeros(1, 2, 2),
        ...     labelled=torch.tensor([[True, True]]),
        ...     scale=torch.tensor([1.0]),
        ... )
        >>> metric.compute()
        tensor(5.)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_legend_name = "Joint"

    squared: Tensor
    count: Tensor

    def __init__(self, num_joints: int, average: Average = "micro") -> None:
        super().__init__()
        check_average(average)
        if num_joints < 1:
            raise InputError(f"Expected at least 1 joint, found {num_joints}; correct num_joints.")
        self.num_joints = num_joints
        self.average: Average = average
        squared = torch.zeros(num_joints, dtype=SUM_DTYPE)
        count = torch.zeros(num_joints, dtype=torch.int64)
        self.add_state("squared", default=squared, dist_reduce_fx="sum")
        self.add_state("count", default=count, dist_reduce_fx="sum")

    def update(
        self,
        preds: Float[Tensor, "B K 2"],
        target: Float[Tensor, "B K 2"],
        labelled: Bool[Tensor, "B K"],
        scale: Float[Tensor, " B"],
    ) -> None:
        """Sum the errors of a batch.

        Args:
            preds: Predicted (x, y) in source pixels.
            target: True (x, y) in source pixels.
            labelled: Which joints have a true position.
            scale: How many pixels of the wanted unit one source pixel is, for each person.

        Raises:
            InputError: Shapes or types do not fit, a prediction is not finite, or a scale not
                above 0.
        """
        squared, count = _sums(preds, target, labelled, scale)
        check_num_joints(self.num_joints, preds)
        self.squared = self.squared + squared
        self.count = self.count + count

    def compute(self) -> Float[Tensor, "*K"]:
        """The error in the unit that the scales lead to, NaN where nothing was labelled."""
        return over_joints(self.squared, self.count, self.average, root=True)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Draw the value, or several values as a curve.

        Args:
            val: Results of `compute`; by default the present one.
            ax: The matplotlib axes to draw on; by default new ones.

        Returns:
            The matplotlib figure and axes.
        """
        return self._plot(val, ax)
