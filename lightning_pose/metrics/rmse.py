"""The root of the mean squared distance between predicted and true joints."""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import DataError
from lightning_pose.metrics.joints import (
    SUM_DTYPE,
    Average,
    check_average,
    check_keypoints,
    check_num_joints,
    check_per_person,
    distances,
    over_joints,
)
from lightning_pose.metrics.judged import Judged
from lightning_pose.metrics.keypoints import KeypointMetric, Per

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
        scale: Size of a source pixel in the desired unit, one per person; see `crop_scale`.
        average: "micro", "macro" or "none".

    Returns:
        An error in the desired unit, or one per joint; NaN where nothing was labelled.

    Raises:
        ConfigError: `average` is not one of these values.
        DataError: Shapes or types do not fit, or a scale is not above 0.
        DivergedError: A prediction is not finite.

    Example:
        >>> import torch
        >>> preds = torch.tensor([[[3.0, 4.0]]])
        >>> known = torch.tensor([[True]])
        >>> keypoint_rmse(preds, torch.zeros(1, 1, 2), known, scale=torch.tensor([2.0]))
        tensor(10.)
    """
    check_average(average)
    squared = _squared(preds, target, labelled, scale)
    return over_joints(squared.nansum(dim=0), labelled.sum(dim=0), average, root=True)


def _squared(
    preds: Tensor, target: Tensor, labelled: Tensor, scale: Tensor
) -> Float[Tensor, "B K"]:
    """The squared errors in the desired unit, NaN where a joint is not labelled."""
    check_keypoints(preds, target, labelled)
    check_per_person("scale", scale, len(preds))
    if not (scale.isfinite() & (scale > 0)).all():
        raise DataError(
            "Expected a finite scale above 0 for each person, found another; "
            "take it from geometry.crop_scale, or 1 for source pixels."
        )
    return (distances(preds, target, labelled) * scale.to(SUM_DTYPE)[:, None]).square()


class RMSE(KeypointMetric):
    """Root mean squared error of the joints, Euclidean: the root of the mean squared distance.

    Definitions differ in the unit and the average. In a model, the unit is the pixel of the
    network's input, so that a person far from the camera weighs as much as one nearby, and results
    at different input sizes are not comparable. `torchmetrics.MeanSquaredError` counts x and y as
    two errors: its root is smaller by a factor of the square root of 2.

    Args:
        num_joints: K, the number of joints; in a model it comes from the skeleton.
        average: "micro" to count every labelled joint once, "macro" for the mean of the per-joint
            values, which leaves out joints that never occur, "none" for one value per joint.
        joints: The names of the joints that count; by default all. Needs `build`.
        per: In addition to the metric itself, one result per "joint", or per "pair" of a left and a
            right joint, with the metric's own average. Needs `build`.
        visible_only: In a model, count only visible joints (visibility 2), not occluded ones; the
            annotations must say which are occluded. `update` is given the joints that count.

    Raises:
        ConfigError: A setting is out of range.

    Example:
        >>> import torch
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

    higher_is_better = False
    unit = "px"
    plot_lower_bound = 0.0
    root = True
    total_dtype = SUM_DTYPE

    def __init__(
        self,
        num_joints: int | None = None,
        average: Average = "micro",
        joints: Sequence[str] | None = None,
        per: Per | None = None,
        visible_only: bool = False,
    ) -> None:
        super().__init__(num_joints, average, joints, per)
        self.visible_only = visible_only

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
            scale: Size of a source pixel in the desired unit, one per person; see `crop_scale`.

        Raises:
            ConfigError: The joints are not known.
            DataError: Shapes or types do not fit, or a scale is not above 0.
            DivergedError: A prediction is not finite.
        """
        self._check_built()
        squared = _squared(preds, target, labelled, scale)
        check_num_joints(self.num_joints, preds)
        self._add(squared, labelled)

    @override
    def judge(self, judged: Judged) -> Float[Tensor, " B"]:
        """Sum the errors of a batch in input pixels.

        Args:
            judged: The prediction and its errors.

        Returns:
            The root mean squared error of each person, whatever the average; NaN without a joint
            that counts.
        """
        assert judged.input_errors is not None, "the head fills keypoints"
        counted = judged.batch.source_visibility > (1 if self.visible_only else 0)
        return self._add(judged.input_errors.square(), counted)
