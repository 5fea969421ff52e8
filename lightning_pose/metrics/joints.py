"""What the keypoint metrics share: distances in pixels, averages over joints, and input checks."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_pose.errors import ConfigError, DataError, DivergedError

__all__ = ["Average", "distances", "joint_errors"]

Average = Literal["macro", "micro", "none"]
"""The mean of the per-joint values, every labelled joint once, or one value per joint."""

# Sums over a million people stay exact in float64, which Apple's GPUs do not have.
SUM_DTYPE = torch.float32 if torch.backends.mps.is_available() else torch.float64


def distances(
    preds: Float[Tensor, "B K 2"],
    target: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
) -> Float[Tensor, "B K"]:
    """Euclidean distance of each predicted joint from the true one, without input checks.

    The checks of `joint_errors` read values, for which the CPU would have to wait for a GPU.

    Args:
        preds: Predicted (x, y), in the frame of the target.
        target: True (x, y); anything, even NaN, where a joint is not labelled.
        labelled: Which joints have a true position.

    Returns:
        The distances in the unit of the points, in `SUM_DTYPE`; NaN where a joint is not labelled.
    """
    # In the dtype of sums, since a coordinate in half precision is off by up to a pixel.
    error = preds.to(SUM_DTYPE) - target.to(SUM_DTYPE)
    return error.square().sum(dim=-1).sqrt().masked_fill(~labelled, torch.nan)


def joint_errors(
    preds: Float[Tensor, "B K 2"],
    target: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
) -> Float[Tensor, "B K"]:
    """Euclidean distance of each predicted joint from the true one.

    Args:
        preds: Predicted (x, y), in the frame of the target, usually source pixels.
        target: True (x, y); anything, even NaN, where a joint is not labelled.
        labelled: Which joints have a true position.

    Returns:
        The distances in the unit of the points, NaN where a joint is not labelled.

    Raises:
        DataError: Shapes or types do not fit, or a labelled joint is not finite.
        DivergedError: A prediction is not finite.

    Example:
        >>> preds = torch.tensor([[[3.0, 4.0], [1.0, 1.0]]])
        >>> joint_errors(preds, torch.zeros(1, 2, 2), torch.tensor([[True, False]]))
        tensor([[5., nan]])
    """
    check_keypoints(preds, target, labelled)
    return distances(preds, target, labelled).float()


def quotient(total: Tensor, count: Tensor, root: bool = False) -> Tensor:
    """Divide sums by counts, and take the square root with `root`; NaN where a count is 0."""
    value = total.to(SUM_DTYPE) / count
    return value.sqrt() if root else value


def over_joints(total: Tensor, count: Tensor, average: Average, root: bool = False) -> Tensor:
    """Divide the sums (K,) per joint by their counts (K,), and average.

    A joint that never occurs is NaN, which "macro" leaves out; without any joint the result is NaN.
    With `root`, the square root of each quotient is taken before the mean over joints.
    """
    if average == "micro":
        total, count = total.sum(), count.sum()
    value = quotient(total, count, root)
    return (value.nanmean() if average == "macro" else value).float()


def check_average(average: str, choices: tuple[str, ...] = get_args(Average)) -> None:
    """Refuse an average that is not one of the choices."""
    if average not in choices:
        raise ConfigError(
            f"Expected average to be one of {', '.join(choices)}, found {average!r}; "
            "choose one of these."
        )


def check_num_joints(num_joints: int | None, preds: Tensor) -> None:
    """Refuse predictions for a different skeleton than the metric was made for."""
    if preds.shape[1] != num_joints:
        raise DataError(
            f"Expected predictions of {num_joints} joints, found {preds.shape[1]}; "
            "make the metric with the num_joints of the skeleton."
        )


def check_per_person(name: str, value: Tensor, people: int) -> None:
    """Refuse anything but one number per person."""
    if value.shape != (people,):
        raise DataError(
            f"Expected {name} to hold one number for each of {people} people, found the shape "
            f"{tuple(value.shape)}; give a tensor of shape (B,)."
        )


def check_keypoints(preds: Tensor, target: Tensor, labelled: Tensor) -> None:
    """Refuse keypoints that cannot be compared."""
    if preds.ndim != 3 or preds.shape[-1] != 2 or target.shape != preds.shape:
        raise DataError(
            "Expected preds and target of one shape (B, K, 2), found "
            f"{tuple(preds.shape)} and {tuple(target.shape)}; give (x, y) for each joint."
        )
    if labelled.shape != preds.shape[:2] or labelled.dtype != torch.bool:
        raise DataError(
            f"Expected labelled as booleans of shape {tuple(preds.shape[:2])}, found "
            f"{labelled.dtype} of shape {tuple(labelled.shape)}; give visibility > 0."
        )
    if not (preds.is_floating_point() and target.is_floating_point()):
        raise DataError(
            f"Expected preds and target as floating point, found {preds.dtype} and "
            f"{target.dtype}; convert them with .float()."
        )
    if not preds.isfinite().all():
        raise DivergedError(
            "Expected finite predictions, found NaN or infinity; "
            "look for the step at which the model diverged."
        )
    if not target[labelled].isfinite().all():
        raise DataError(
            "Expected finite coordinates for every labelled joint, found NaN or infinity; "
            "mark joints without a position as not labelled."
        )
