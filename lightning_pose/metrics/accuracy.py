"""The accuracy of classes of an image-level label."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError, DataError
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.joints import check_average, quotient
from lightning_pose.metrics.judged import Judged
from lightning_pose.task import Task

__all__ = ["Accuracy", "class_accuracy"]

ClassAverage = Literal["micro", "macro"]
"""Every person once, or the mean of the classes' own accuracies."""


def class_accuracy(
    preds: Float[Tensor, "B C"], target: Int64[Tensor, " B"], average: ClassAverage = "micro"
) -> Float[Tensor, ""]:
    """How many people have the class that is predicted as the most probable; see `Accuracy`.

    Args:
        preds: The probability, or the logit, of each class.
        target: The true class, -1 where it is unknown.
        average: "micro" or "macro".

    Returns:
        A number from 0 to 1, NaN where no class is known.

    Raises:
        ConfigError: `average` is not one of these values.
        DataError: Shapes do not fit, or a class is out of range.

    Example:
        >>> preds = torch.tensor([[0.7, 0.3], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
        >>> target = torch.tensor([0, 0, 1, -1])
        >>> class_accuracy(preds, target), class_accuracy(preds, target, average="macro")
        (tensor(0.6667), tensor(0.5000))
    """
    check_average(average, get_args(ClassAverage))
    _check_classes(preds, target)
    return _average(*_counts(preds, target, preds.shape[1]), average)


def _check_classes(preds: Tensor, target: Tensor) -> None:
    if preds.ndim != 2 or target.shape != preds.shape[:1]:
        raise DataError(
            "Expected preds of shape (B, C) and target of shape (B,), found "
            f"{tuple(preds.shape)} and {tuple(target.shape)}; give one number per class."
        )
    if not ((target >= -1) & (target < preds.shape[1])).all():
        raise DataError(
            f"Expected classes below {preds.shape[1]}, and -1 where unknown, found "
            f"{target.min()} to {target.max()}; give the place of each class among preds."
        )


def _counts(
    preds: Tensor, target: Tensor, classes: int
) -> tuple[Int64[Tensor, " C"], Int64[Tensor, " C"]]:
    """How many people of each class are classified correctly, and how many there are."""
    known = (target >= 0).long()
    hit = (preds.argmax(dim=1) == target).long()
    # An unknown class counts as 0 people of the first.
    place, empty = target.clamp_min(0), target.new_zeros(classes)
    return empty.scatter_add(0, place, hit), empty.scatter_add(0, place, known)


def _average(correct: Tensor, count: Tensor, average: ClassAverage) -> Float[Tensor, ""]:
    if average == "micro":
        return quotient(correct.sum(), count.sum()).float()
    return quotient(correct, count).nanmean().float()


class Accuracy(PoseMetric):
    """The fraction of people for whom the most probable class is the true one.

    People whose class is unknown are left out. With "macro", the fractions of the classes are
    averaged, so that a rare class counts as much as a frequent one (balanced accuracy); classes
    that never occur are left out.

    Args:
        average: "micro" to count every person once, "macro" for the mean over classes.
        num_classes: Number of classes; in a model it comes from the labels of the data.

    Raises:
        ConfigError: A setting is out of range.

    Example:
        >>> metric = Accuracy(num_classes=2)
        >>> metric.update(
        ...     preds=torch.tensor([[0.7, 0.3], [0.8, 0.2]]), target=torch.tensor([0, 1])
        ... )
        >>> metric.compute()
        tensor(0.5000)
    """

    needs = "probabilities"
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    correct: Tensor
    count: Tensor

    def __init__(self, average: ClassAverage = "micro", num_classes: int | None = None) -> None:
        super().__init__()
        check_average(average, get_args(ClassAverage))
        if num_classes is not None and num_classes < 1:
            raise ConfigError(
                f"Expected at least 1 class, found {num_classes}; correct num_classes."
            )
        self.average: ClassAverage = average
        self.num_classes = num_classes
        self._make_states(num_classes or 0)

    @override
    def build(self, task: Task) -> None:
        """Create a count for each class of the label that has the most.

        Args:
            task: Its labels have names of classes.
        """
        if self.num_classes is None:
            self.num_classes = max((len(names) for names in task.labels.values()), default=0)
            self._make_states(self.num_classes)

    def _make_states(self, num_classes: int) -> None:
        for name in ("correct", "count"):
            zeros = torch.zeros(num_classes, dtype=torch.int64)
            self.add_state(name, default=zeros, dist_reduce_fx="sum")

    def update(self, preds: Float[Tensor, "B C"], target: Int64[Tensor, " B"]) -> None:
        """Count the people of a batch.

        Args:
            preds: The probability, or the logit, of each class.
            target: The true class, -1 where it is unknown.

        Raises:
            ConfigError: The number of classes is not known.
            DataError: Shapes do not fit, or a class is out of range.
        """
        _check_classes(preds, target)
        self._add(preds, target)

    @override
    @torch.no_grad()
    def judge(self, judged: Judged) -> Float[Tensor, " B"]:
        """Count the people of a batch.

        Args:
            judged: The probabilities and the true classes.

        Returns:
            1 for each person whose class is predicted, 0 for the others, NaN where it is unknown.
        """
        preds, target = judged.prediction.probabilities, judged.label
        assert preds is not None, "the head fills the probabilities"
        assert target is not None, "the record has the label of such a head"
        self._add(preds, target)
        return (preds.argmax(dim=1) == target).float().masked_fill(target < 0, torch.nan)

    def _add(self, preds: Float[Tensor, "B C"], target: Int64[Tensor, " B"]) -> None:
        classes = self.num_classes or 0
        if classes < preds.shape[1]:
            raise ConfigError(
                f"Expected Accuracy.num_classes of {preds.shape[1]}, found {self.num_classes}; "
                "give it, or call build with the task."
            )
        correct, count = _counts(preds, target, classes)
        self.correct = self.correct + correct
        self.count = self.count + count

    def compute(self) -> Float[Tensor, ""]:
        """The accuracy from 0 to 1, NaN where no class was known."""
        return _average(self.correct, self.count, self.average)
