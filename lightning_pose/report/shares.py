"""What each person adds to a metric, from which it is computed for any resample of the people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lightning_pose.batch import Batch
from lightning_pose.geometry import apply_affine
from lightning_pose.metrics import PoseMetric
from lightning_pose.metrics.joints import distances
from lightning_pose.metrics.judged import Judged
from lightning_pose.metrics.keypoints import KeypointMetric
from lightning_pose.prediction import Prediction

__all__ = ["Shares", "resampled", "shares"]

_AT_ONCE = 4_000_000
"""The most weights of people in memory, 4 bytes each."""


@dataclass(frozen=True)
class Shares:
    """What each of N people adds to a metric, which is a mean over C columns of sum / count.

    Joints are columns where the metric is the mean of its joints ("macro"); elsewhere there is one
    column.

    Attributes:
        sums: What each person adds to the sum of each column.
        counts: What each person adds to its count.
        root: Whether the root of each quotient is taken.

    Example:
        >>> right, labelled = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
        >>> Shares(right, labelled).over(np.array([[1.0, 1.0], [2.0, 0.0]]))
        array([0.25, 1.  ])
    """

    sums: Float[np.ndarray, "N C"]
    counts: Float[np.ndarray, "N C"]
    root: bool = False

    def over(self, weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, " R"]:
        """The metric over people that count as often as the weights say.

        Args:
            weights: How often each person counts, for R results.

        Returns:
            The results; a column that counts nobody is left out, and NaN means that all do.
        """
        sums, counts = weights @ self.sums, weights @ self.counts
        found = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        values = np.sqrt(found) if self.root else found
        columns = (counts > 0).sum(axis=1)
        mean: np.ndarray = np.where(
            columns > 0, values.sum(axis=1) / np.maximum(columns, 1), np.nan
        )
        return mean

    @property
    def value(self) -> float:
        """The metric over all people."""
        return float(self.over(np.ones((1, len(self.sums))))[0])

    @property
    def people(self) -> int:
        """The number of people with a label for this metric."""
        return int((self.counts.sum(axis=1) > 0).sum())

    def give(self, value: float) -> bool:
        """Whether a metric is what its people give, in single precision.

        It is not where it is an average of another kind, such as one over all pixels.
        """
        # A metric of single precision that is nearly 0 is rounded, too.
        return bool(np.isclose(self.value, value, rtol=1e-3, atol=1e-6, equal_nan=True))


def resampled(
    runs: Sequence[Shares], resamples: int = 1000, seed: int = 0
) -> Float[np.ndarray, "S R"]:
    """The metric of every run over the same random resamples of the people.

    Args:
        runs: The shares of each run, over the same people in the same order.
        resamples: R, how many times as many people as there are are drawn with replacement.
        seed: Which resamples.

    Returns:
        The metric by run and resample.
    """
    people = len(runs[0].sums)
    random = np.random.default_rng(seed)
    found = []
    step = max(1, _AT_ONCE // people)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.multinomial(people, np.full(people, 1 / people), size=size)
        weights = drawn.astype(np.float32)
        found.append(np.stack([one.over(weights) for one in runs]))
    return np.concatenate(found, axis=1)


def shares(
    metric: PoseMetric | None, columns: Mapping[str, np.ndarray], head: str, name: str
) -> Shares:
    """Read what each person adds to a metric from the columns of predictions.npz.

    A metric of keypoints counts joints, and averages over them as its settings say. Any other
    metric, and a loss, is taken for the mean of the people's values; `Shares.give` checks whether
    it is.

    Args:
        metric: The metric, which knows the joints; its states change. None for a loss.
        columns: The columns of the file.
        head: The head that it scores.
        name: Its name.

    Returns:
        The shares of the people, in the order of the file.

    Raises:
        KeyError: A column is missing.
    """
    if not isinstance(metric, KeypointMetric):
        column = columns[f"{head}/{name}"][:, None]
        return Shares(np.nan_to_num(column), np.isfinite(column).astype(np.float32))
    judged = _judged(columns, head)
    visibility = judged.batch.source_visibility
    values = []
    # The value of a person of whom one joint alone is labelled is the value of that joint.
    for joint in range(visibility.shape[1]):
        alone = torch.zeros_like(visibility)
        alone[:, joint] = visibility[:, joint]
        batch = replace(judged.batch, source_visibility=alone)
        values.append(metric.judge(replace(judged, batch=batch)))
    found = torch.stack(values, dim=1).numpy()
    counts = np.isfinite(found).astype(np.float32)
    sums = np.nan_to_num(found**2 if metric.root else found)
    if metric.average == "micro":
        sums, counts = (column.sum(axis=1, keepdims=True) for column in (sums, counts))
    return Shares(sums, counts, metric.root)


def _judged(columns: Mapping[str, np.ndarray], head: str) -> Judged:
    """The record that the metrics of a head read, without images."""
    rows: dict[str, Tensor] = {
        name: torch.from_numpy(np.ascontiguousarray(columns[name]))
        for name in (
            "keypoints", "visibility", "box", "head_size", "torso_size", "area", "image_size",
            "person_id", "crop", f"{head}/keypoints", f"{head}/errors",
        )
    }  # fmt: skip
    people = len(rows["person_id"])
    batch = Batch(
        image=torch.zeros(people, 3, 0, 0, dtype=torch.uint8),
        keypoints=torch.zeros_like(rows["keypoints"]),
        visibility=torch.zeros_like(rows["visibility"]),
        mask=torch.zeros(people, 0, 0, dtype=torch.int8),
        valid=torch.zeros(people, 0, 0, dtype=torch.bool),
        crop=rows["crop"],
        source_keypoints=rows["keypoints"],
        source_visibility=rows["visibility"],
        box=rows["box"],
        head_size=rows["head_size"],
        torso_size=rows["torso_size"],
        area=rows["area"],
        labels={},
        image_size=rows["image_size"],
        person_id=rows["person_id"],
        image_id=[""] * people,
    )
    keypoints = rows[f"{head}/keypoints"]
    cropped = apply_affine(batch.crop, keypoints)
    truth = apply_affine(batch.crop, batch.source_keypoints)
    return Judged(
        Prediction(),
        batch,
        keypoints=keypoints,
        errors=rows[f"{head}/errors"],
        input_errors=distances(cropped, truth, batch.source_labelled),
    )
