"""The Dice coefficient of person masks, with support for unknown pixels and empty masks."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError, DataError
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.joints import SUM_DTYPE, check_average
from lightning_pose.metrics.judged import Judged

__all__ = ["Dice", "dice_per_person", "mask_dice"]

MaskAverage = Literal["samplewise", "global"]
"""The mean of the people's values, or one value over the pixels of all people."""


def dice_per_person(
    preds: Float[Tensor, "B H W"] | Bool[Tensor, "B H W"],
    target: Integer[Tensor, "B H W"] | Bool[Tensor, "B H W"],
    valid: Bool[Tensor, "B H W"] | None = None,
    threshold: float = 0.5,
) -> Float[Tensor, " B"]:
    """The Dice coefficient of each person's mask; see `Dice`.

    Args:
        preds: The probability that a pixel is the person, or the mask itself.
        target: 1 person, 0 background, -1 unknown.
        valid: False where an image was padded; by default nowhere.
        threshold: A pixel with a higher probability counts as the person.

    Returns:
        A number from 0 to 1 per person, NaN for a person without known pixels.

    Raises:
        DataError: Shapes or types do not fit, or preds are not probabilities.

    Example:
        >>> preds = torch.tensor([[[0.9, 0.8, 0.1, 0.7]]])
        >>> dice_per_person(preds, torch.tensor([[[1, 0, 0, -1]]]))
        tensor([0.6667])
    """
    check_masks(preds, target, valid)
    return _values(*_counts(preds, target, valid, threshold)).float()


def mask_dice(
    preds: Float[Tensor, "B H W"] | Bool[Tensor, "B H W"],
    target: Integer[Tensor, "B H W"] | Bool[Tensor, "B H W"],
    valid: Bool[Tensor, "B H W"] | None = None,
    average: MaskAverage = "samplewise",
    threshold: float = 0.5,
) -> Float[Tensor, ""]:
    """The Dice coefficient of a batch of masks; see `Dice`.

    Args:
        preds: The probability that a pixel is the person, or the mask itself.
        target: 1 person, 0 background, -1 unknown.
        valid: False where an image was padded; by default nowhere.
        average: "samplewise" or "global".
        threshold: A pixel with a higher probability counts as the person.

    Returns:
        A number from 0 to 1, NaN where no pixel is known.

    Raises:
        ConfigError: `average` is not one of these values.
        DataError: Shapes or types do not fit, or preds are not probabilities.

    Example:
        >>> preds = torch.tensor([[[True, True]], [[True, False]]])
        >>> target = torch.tensor([[[1, 0]], [[1, 0]]])
        >>> mask_dice(preds, target), mask_dice(preds, target, average="global")
        (tensor(0.8333), tensor(0.8000))
    """
    check_average(average, get_args(MaskAverage))
    check_masks(preds, target, valid)
    overlap, size, known = _counts(preds, target, valid, threshold)
    if average == "global":
        return _values(overlap.sum(), size.sum(), known.any()).float()
    return _values(overlap, size, known).nanmean().float()


def _counts(
    preds: Tensor, target: Tensor, valid: Tensor | None, threshold: float
) -> tuple[Int64[Tensor, " B"], Int64[Tensor, " B"], Bool[Tensor, " B"]]:
    """Pixels in both masks, the sum of the pixels in each, and whether any pixel is known."""
    person = preds if preds.dtype == torch.bool else preds > threshold
    known = target >= 0 if valid is None else (target >= 0) & valid
    person, truth = person & known, (target == 1) & known
    overlap = (person & truth).sum(dim=(1, 2))
    size = person.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return overlap, size, known.any(dim=2).any(dim=1)


def _values(overlap: Tensor, size: Tensor, known: Tensor) -> Tensor:
    """Dice from counts: 1 where both masks are empty, NaN where nothing is known."""
    value = torch.where(size > 0, 2 * overlap.to(SUM_DTYPE) / size, 1.0)
    return value.masked_fill(~known, torch.nan)


def check_masks(preds: Tensor, target: Tensor, valid: Tensor | None) -> None:
    """Refuse masks that cannot be compared."""
    if preds.ndim != 3 or target.shape != preds.shape:
        raise DataError(
            f"Expected preds and target of one shape (B, H, W), found {tuple(preds.shape)} and "
            f"{tuple(target.shape)}; resample the mask to the size of its target."
        )
    if valid is not None and (valid.shape != preds.shape or valid.dtype != torch.bool):
        raise DataError(
            f"Expected valid as booleans of shape {tuple(preds.shape)}, found {valid.dtype} of "
            f"shape {tuple(valid.shape)}; take it from the batch."
        )
    if preds.dtype != torch.bool and not (
        preds.is_floating_point() and ((preds >= 0) & (preds <= 1)).all()
    ):
        raise DataError(
            "Expected preds as booleans or as floating-point probabilities from 0 to 1, found "
            f"{preds.dtype} that is not; apply a softmax or sigmoid to logits first."
        )
    if target.is_floating_point() or not ((target >= -1) & (target <= 1)).all():
        raise DataError(
            "Expected target as integers (1 person, 0 background, -1 unknown) or booleans, found "
            f"{target.dtype} that is not; convert the mask first."
        )


class Dice(PoseMetric):
    """Dice coefficient (Dice, 1945) of person masks: twice the overlap over the sum of the areas.

    Unknown pixels are left out, and so are people without a known pixel. Two empty masks agree:
    their value is 1. Definitions differ in the average: "samplewise" weighs a small person as much
    as a large one, "global" weighs each person by its pixels. In a model, the pixels are those of
    the network's input.

    Args:
        average: "samplewise" for the mean of the people's values, "global" for one value over the
            pixels of all people.
        threshold: A pixel with a higher probability counts as the person.

    Raises:
        ConfigError: A setting is out of range.

    Example:
        >>> metric = Dice()
        >>> metric.update(
        ...     preds=torch.tensor([[[0.9, 0.8, 0.1, 0.7]]]),
        ...     target=torch.tensor([[[1, 0, 0, -1]]]),
        ... )
        >>> metric.compute()
        tensor(0.6667)
    """

    needs = "mask"
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    total: Tensor
    overlap: Tensor
    size: Tensor
    people: Tensor

    def __init__(self, average: MaskAverage = "samplewise", threshold: float = 0.5) -> None:
        super().__init__()
        check_average(average, get_args(MaskAverage))
        if not 0 <= threshold < 1:
            raise ConfigError(
                f"Expected a threshold from 0 to below 1, found {threshold}; correct it."
            )
        self.average: MaskAverage = average
        self.threshold = threshold
        self.add_state("total", default=torch.zeros((), dtype=SUM_DTYPE), dist_reduce_fx="sum")
        for name in ("overlap", "size", "people"):
            count = torch.zeros((), dtype=torch.int64)
            self.add_state(name, default=count, dist_reduce_fx="sum")

    def update(
        self,
        preds: Float[Tensor, "B H W"] | Bool[Tensor, "B H W"],
        target: Integer[Tensor, "B H W"] | Bool[Tensor, "B H W"],
        valid: Bool[Tensor, "B H W"] | None = None,
    ) -> None:
        """Count the pixels of a batch.

        Args:
            preds: The probability that a pixel is the person, or the mask itself.
            target: 1 person, 0 background, -1 unknown.
            valid: False where an image was padded; by default nowhere.

        Raises:
            DataError: Shapes or types do not fit, or preds are not probabilities.
        """
        check_masks(preds, target, valid)
        self._add(*_counts(preds, target, valid, self.threshold))

    @override
    def judge(self, judged: Judged) -> Float[Tensor, " B"]:
        """Count the pixels of a batch.

        Args:
            judged: The prediction and the true mask.

        Returns:
            The coefficient of each person, NaN without a known pixel.
        """
        preds, target = judged.prediction.mask, judged.mask
        assert preds is not None, "the head fills the mask"
        assert target is not None, "the record has the true mask of such a head"
        return self._add(*_counts(preds, target, None, self.threshold))

    def _add(
        self, overlap: Int64[Tensor, " B"], size: Int64[Tensor, " B"], known: Bool[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        """Add the counts of a batch, and return the coefficient of each person."""
        values = _values(overlap, size, known)
        self.total = self.total + values.nansum()
        self.overlap = self.overlap + overlap.sum()
        self.size = self.size + size.sum()
        self.people = self.people + known.sum()
        return values.float()

    def compute(self) -> Float[Tensor, ""]:
        """The coefficient from 0 to 1, NaN where no pixel was known."""
        if self.average == "global":
            return _values(self.overlap, self.size, self.people > 0).float()
        return (self.total / self.people).float()
