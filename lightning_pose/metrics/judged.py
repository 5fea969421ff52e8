"""One head's prediction with the ground truth, from which all metrics of that head are computed."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int8, Int64
from torch import Tensor

from lightning_pose.batch import Batch
from lightning_pose.geometry import apply_affine, invert_affine
from lightning_pose.metrics.joints import distances
from lightning_pose.prediction import Prediction

__all__ = ["Judged", "judge"]


@dataclass
class Judged:
    """A head's prediction for B people and its errors, computed once for all metrics.

    Attributes:
        prediction: Finite, in input pixels.
        batch: The people.
        keypoints: The predicted (x, y) in source pixels; None if the head fills no keypoints.
        errors: Distance of each joint from the truth in source pixels, NaN where it is not
            labelled.
        input_errors: The same in input pixels.
        mask: The true mask, -1 where it is unknown or padding; None if the head fills no mask.
        label: The true image-level label that the head predicts, a class (-1 unknown) or a number
            (NaN unknown); None if it predicts none.
    """

    prediction: Prediction
    batch: Batch
    keypoints: Float[Tensor, "B K 2"] | None = None
    errors: Float[Tensor, "B K"] | None = None
    input_errors: Float[Tensor, "B K"] | None = None
    mask: Int8[Tensor, "B H W"] | None = None
    label: Int64[Tensor, " B"] | Float[Tensor, " B"] | None = None

    def select(self, places: list[int]) -> "Judged":
        """The record of the people at some indices."""
        found = {name: v[places] for name, v in vars(self).items() if isinstance(v, Tensor)}
        return Judged(self.prediction.select(places), self.batch.select(places), **found)


def judge(prediction: Prediction, batch: Batch, label: str | None = None) -> Judged:
    """Compare keypoints with the labels before any transform, and pair a mask with the cropped one.

    Args:
        prediction: One head's prediction, in input pixels.
        batch: The people that it is for.
        label: The name of the image-level label that the head predicts, if there is one.

    Returns:
        The record that `PoseMetric.judge` takes.
    """
    found: dict[str, Any] = {}
    if prediction.keypoints is not None:
        keypoints = apply_affine(invert_affine(batch.crop), prediction.keypoints.float())
        truth, labelled = batch.source_keypoints, batch.source_labelled
        found["keypoints"] = keypoints
        found["errors"] = distances(keypoints, truth, labelled)
        cropped = apply_affine(batch.crop, truth)
        found["input_errors"] = distances(prediction.keypoints.float(), cropped, labelled)
    if prediction.mask is not None:
        found["mask"] = batch.mask.where(batch.valid, -1)
    if label is not None:
        found["label"] = batch.labels[label]
    return Judged(prediction, batch, **found)
