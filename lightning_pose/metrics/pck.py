"""The percentage of correct keypoints, as a fraction: PCK and PCKh."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError
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

__all__ = ["PCK", "PCKh", "keypoint_pck", "keypoint_pckh"]

Size = Literal["torso", "head", "box"]
"""What the errors of a person are divided by."""


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
        normalizer: The size of each person in source pixels; people without one (0) are left out.
        threshold: The largest error that counts as correct, in units of the normalizer.
        average: "macro", "micro" or "none".

    Returns:
        A fraction from 0 to 1, or one per joint; NaN where nothing was labelled.

    Raises:
        ConfigError: `average` is not one of these values.
        DataError: Shapes or types do not fit.
        DivergedError: A prediction is not finite.

    Example:
        >>> preds = torch.tensor([[[2.0, 0.0], [0.0, 2.1]]])
        >>> known = torch.ones(1, 2, dtype=torch.bool)
        >>> keypoint_pck(preds, torch.zeros(1, 2, 2), known, torch.tensor([10.0]))
        tensor(0.5000)
    """
    check_average(average)
    _check(preds, target, labelled, normalizer)
    errors = distances(preds, target, labelled)
    right, counted = _right(errors, labelled, normalizer, threshold)
    return over_joints(right.sum(dim=0), counted.sum(dim=0), average)


def keypoint_pckh(
    preds: Float[Tensor, "B K 2"],
    target: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
    normalizer: Float[Tensor, " B"],
    threshold: float = 0.5,
    average: Average = "macro",
) -> Float[Tensor, "*K"]:
    """The fraction of joints within `threshold` times the head size of the truth; see `PCKh`.

    Arguments, result and errors are those of `keypoint_pck`, with the head size as normalizer.

    Example:
        >>> preds = torch.tensor([[[5.0, 0.0], [0.0, 5.1]]])
        >>> known = torch.ones(1, 2, dtype=torch.bool)
        >>> keypoint_pckh(preds, torch.zeros(1, 2, 2), known, torch.tensor([10.0]))
        tensor(0.5000)
    """
    return keypoint_pck(preds, target, labelled, normalizer, threshold, average)


def _check(preds: Tensor, target: Tensor, labelled: Tensor, normalizer: Tensor) -> None:
    check_keypoints(preds, target, labelled)
    check_per_person("normalizer", normalizer, len(preds))


def _right(
    errors: Tensor, labelled: Tensor, normalizer: Tensor, threshold: float
) -> tuple[Bool[Tensor, "B K"], Bool[Tensor, "B K"]]:
    """Which joints are correct, and which of them count."""
    size = normalizer.to(SUM_DTYPE)
    counted = labelled & (size.isfinite() & (size > 0))[:, None]
    return (errors <= threshold * size[:, None]) & counted, counted


class PCK(KeypointMetric):
    """Percentage of correct keypoints (Yang and Ramanan, 2013), as a fraction from 0 to 1.

    A joint is correct if its error is at most `threshold` times the person's size. People whose
    size is 0, negative or not finite are left out, and so are joints without a label.

    Definitions differ in the size and the average, and their results are not comparable. The usual
    PCK@0.2 on Leeds Sports Pose takes 0.2 times the torso, the distance from one shoulder to the
    opposite hip. Others take the longer side of the person's box (Yang and Ramanan, 2013), or the
    head (`PCKh`).

    Args:
        num_joints: K, the number of joints; in a model it comes from the skeleton.
        threshold: The largest error that counts as correct, in units of the size.
        average: "macro" for the mean of the per-joint values, which leaves out joints that never
            occur, "micro" to count every labelled joint once, "none" for one value per joint.
        joints: The names of the joints that count; by default all. Needs `build`.
        per: In addition to the metric itself, one result per "joint", or per "pair" of a left and a
            right joint, with the metric's own average. Needs `build`.
        size: In a model, what errors are divided by: "torso", "head", or "box" for the longer side
            of the person's box. `update` is given the size itself.

    Raises:
        ConfigError: A setting is out of range.

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

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    total_dtype = torch.int64

    def __init__(
        self,
        num_joints: int | None = None,
        threshold: float = 0.2,
        average: Average = "macro",
        joints: Sequence[str] | None = None,
        per: Per | None = None,
        size: Size = "torso",
    ) -> None:
        super().__init__(num_joints, average, joints, per)
        if size not in get_args(Size):
            raise ConfigError(
                f"Expected size to be one of {', '.join(get_args(Size))}, found {size!r}; choose "
                "one of these."
            )
        if not 0 < threshold < float("inf"):
            raise ConfigError(
                f"Expected a threshold above 0, found {threshold}; correct the threshold."
            )
        self.threshold = threshold
        self.size: Size = size

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
            ConfigError: The joints are not known.
            DataError: Shapes or types do not fit.
            DivergedError: A prediction is not finite.
        """
        self._check_built()
        _check(preds, target, labelled, normalizer)
        check_num_joints(self.num_joints, preds)
        errors = distances(preds, target, labelled)
        self._add(*_right(errors, labelled, normalizer, self.threshold))

    @override
    def judge(self, judged: Judged) -> Float[Tensor, " B"]:
        """Count a batch by its errors in source pixels.

        Args:
            judged: The prediction and its errors.

        Returns:
            The fraction of each person's joints that are correct, NaN without a labelled joint or a
            size.
        """
        assert judged.errors is not None, "the head fills keypoints"
        batch = judged.batch
        match self.size:
            case "torso":
                size = batch.torso_size
            case "head":
                size = batch.head_size
            case "box":
                size = (batch.box[:, 2:] - batch.box[:, :2]).amax(dim=1)
        return self._add(*_right(judged.errors, batch.source_labelled, size, self.threshold))


class PCKh(PCK):
    """PCK with the size of the head (Andriluka et al., 2014), usually PCKh@0.5.

    MPII's definition: the head size is 0.6 times the diagonal of the head box, pelvis and thorax do
    not count (name the other 14 in `joints`; by default, all joints of the skeleton count), and the
    mean is over joints with equal weight ("macro"). Its published tables show one value per pair of
    left and right joints: `per="pair"`. The evaluation code of Microsoft's and HRNet's repositories
    prints the "micro" mean in the same row, over all labelled joints (declare a second PCKh for
    it), and calls PCKh@0.11 "@0.1". Data without head boxes uses the segment from neck to head top,
    which is a different unit. Settings, states and rules are those of `PCK`.

    Example:
        >>> from lightning_pose.skeletons import LSP14
        >>> from lightning_pose.task import Task
        >>> metric = PCKh(joints=["left_knee", "right_knee", "neck"], per="pair")
        >>> metric.build(Task(LSP14))
        >>> metric.update(
        ...     preds=torch.full((1, 14, 2), 3.0),
        ...     target=torch.zeros(1, 14, 2),
        ...     labelled=torch.arange(14)[None] < 12,
        ...     normalizer=torch.tensor([10.0]),
        ... )
        >>> metric.results()
        {'': tensor(1.), 'knee': tensor(1.), 'neck': tensor(nan)}
    """

    def __init__(
        self,
        num_joints: int | None = None,
        threshold: float = 0.5,
        average: Average = "macro",
        joints: Sequence[str] | None = None,
        per: Per | None = None,
    ) -> None:
        super().__init__(num_joints, threshold, average, joints, per, size="head")
