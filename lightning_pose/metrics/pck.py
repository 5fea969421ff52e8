"""The percentage of correct keypoints, as a fraction: PCK and PCKh."""

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

__all__ = ["PCK", "PCKh", "keypoint_pck", "keypoint_pckh"]


def keypoint_pck(
    preds: Float[Tensor, "B K 2"],
    target: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
    normalizer: Float[Tensor, " B"],
    threshold: float = 0.2,
    average: Average = "macro",
) -> Float[Tensor, "*K"]:
    """The fraction of joints within `threshold` times a body size of the truth; see `PCK`.

    Args:
        preds: Predicted (x, y) in source pixels.
        target: True (x, y) in source pixels.
        labelled: Which joints have a true position.
        normalizer: The size of each person in source pixels; who has none (0) is left out.
        threshold: The largest error that is right, in units of the normalizer.
        average: "macro", "micro" or "none".

    Returns:
        A fraction from 0 to 1, or one a joint; NaN where nothing was labelled.

    Raises:
        InputError: Shapes or types do not fit, or a prediction is not finite.

    Example:
        >>> preds = torch.tensor([[[2.0, 0.0], [0.0, 2.1]]])
        >>> known = torch.ones(1, 2, dtype=torch.bool)
        >>> keypoint_pck(preds, torch.zeros(1, 2, 2), known, torch.tensor([10.0]))
        tensor(0.5000)
    """
    check_average(average)
    return over_joints(*_counts(preds, target, labelled, normalizer, threshold), average)


def keypoint_pckh(
    preds: Float[Tensor, "B K 2"],
    target: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
    normalizer: Float[Tensor, " B"],
    threshold: float = 0.5,
    average: Average = "macro",
) -> Float[Tensor, "*K"]:
    """The fraction of joints within half a head size of the truth; see `PCKh`.

    Arguments, result and errors are those of `keypoint_pck`, with the head size as normalizer.

    Example:
        >>> preds = torch.tensor([[[5.0, 0.0], [0.0, 5.1]]])
        >>> known = torch.ones(1, 2, dtype=torch.bool)
        >>> keypoint_pckh(preds, torch.zeros(1, 2, 2), known, torch.tensor([10.0]))
        tensor(0.5000)
    """
    return keypoint_pck(preds, target, labelled, normalizer, threshold, average)


def _counts(
    preds: Tensor, target: Tensor, labelled: Tensor, normalizer: Tensor, threshold: float
) -> tuple[Int64[Tensor, " K"], Int64[Tensor, " K"]]:
    """How often each joint was right, and how often it occurred."""
    squared = squared_errors(preds, target, labelled)
    check_per_person("normalizer", normalizer, len(preds))
    size = normalizer.to(SUM_DTYPE)
    counted = labelled & (size.isfinite() & (size > 0))[:, None]
    right = (squared.sqrt() <= threshold * size[:, None]) & counted
    return right.sum(dim=0), counted.sum(dim=0)


class PCK(Metric):
    """Percentage of correct keypoints (Yang and Ramanan, 2013), as a fraction from 0 to 1.

    A joint is right when its error is at most `threshold` times the person's normalizer. The
    usual dialect of Leeds Sports Pose takes 0.2 times the torso, from one shoulder to the hip of
    the other side. A person whose normalizer is 0, negative or not finite is left out, and so is
    a joint without a label. States are counts, so that neither the batch size nor the number of
    processes changes the result.

    Args:
        num_joints: K, the number of joints.
        threshold: The largest error that is right, in units of the normalizer.
        average: "macro" for the mean of the per-joint values, which leaves out joints that never
            occur, "micro" to count every labelled joint once, "none" for one value a joint.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> metric = PCK(num_joints=2, average="none")
        >>> metric.update(
        ...     preds=torch.tensor([[[2.0, 0.0], [0.0, 2.1]]]),
        ...     target=torch.zeros(1, 2, 2),
        ...     labelled=torch.tensor([[True, True]]),
        ...     normalizer=torch.tensor([10.0]),
        ... )
        >>> metric.compute()
        tensor([1., 0.])
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Joint"

    right: Tensor
    count: Tensor

    def __init__(self, num_joints: int, threshold: float = 0.2, average: Average = "macro") -> None:
        super().__init__()
        check_average(average)
        if num_joints < 1:
            raise InputError(f"Expected at least 1 joint, found {num_joints}; correct num_joints.")
        if not 0 < threshold < float("inf"):
            raise InputError(
                f"Expected a threshold above 0, found {threshold}; correct the threshold."
            )
        self.num_joints = num_joints
        self.threshold = threshold
        self.average: Average = average
        zeros = torch.zeros(num_joints, dtype=torch.int64)
        self.add_state("right", default=zeros, dist_reduce_fx="sum")
        self.add_state("count", default=zeros.clone(), dist_reduce_fx="sum")

    def update(
        self,
        preds: Float[Tensor, "B K 2"],
        target: Float[Tensor, "B K 2"],
        labelled: Bool[Tensor, "B K"],
        normalizer: Float[Tensor, " B"],
    ) -> None:
        """Count the joints of a batch.

        Args:
            preds: Predicted (x, y) in source pixels.
            target: True (x, y) in source pixels.
            labelled: Which joints have a true position.
            normalizer: The size of each person in source pixels, 0 where it is unknown.

        Raises:
            InputError: Shapes or types do not fit, or a prediction is not finite.
        """
        right, count = _counts(preds, target, labelled, normalizer, self.threshold)
        check_num_joints(self.num_joints, preds)
        self.right = self.right + right
        self.count = self.count + count

    def compute(self) -> Float[Tensor, "*K"]:
        """The fraction of right joints, NaN where nothing was labelled."""
        return over_joints(self.right, self.count, self.average)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Draw the value, or several values as a curve.

        Args:
            val: Results of `compute`; by default the present one.
            ax: The matplotlib axes to draw on; by default new ones.

        Returns:
            The matplotlib figure and axes.
        """
        return self._plot(val, ax)


class PCKh(PCK):
    """PCK with the size of the head as normalizer (Andriluka et al., 2014), usually PCKh@0.5.

    The dialect is in the normalizer. MPII takes 0.6 times the diagonal of the head box, and data
    without head boxes takes the segment from neck to head top. MPII's mean leaves out pelvis and
    thorax; published tables have that of "macro", each joint counting the same, and some papers
    that of "micro", in which a joint counts as often as it is labelled.
    Settings, states and rules are those of `PCK`.

    Example:
        >>> metric = PCKh(num_joints=1)
        >>> metric.update(
        ...     preds=torch.tensor([[[3.0, 4.0]]]),
        ...     target=torch.zeros(1, 1, 2),
        ...     labelled=torch.tensor([[True]]),
        ...     normalizer=torch.tensor([10.0]),
        ... )
        >>> metric.compute()
        tensor(1.)
    """

    def __init__(self, num_joints: int, threshold: float = 0.5, average: Average = "macro") -> None:
        super().__init__(num_joints, threshold, average)
