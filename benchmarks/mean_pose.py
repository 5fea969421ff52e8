"""Whether a model falls back to the mean pose, and whether errors grow along its sequence.

    python benchmarks/mean_pose.py RUN [--head NAME] [--against OTHER_RUN]

Reads predictions.npz and best.ckpt of a finished run. All lengths are in the frame of the network's
input, in units of its longer side, because the best constant pose depends on what the input shows.
All means are over labelled joints. A table has one row per joint, in the order of the
head's steps:

* `error`, the mean error; `constant`, the mean error of always predicting the mean pose of the
  truth; `shuffled`, the mean error if each person's image is exchanged for another person's. A
  model that ignores its image has the same error for both images, and one that predicts the mean
  pose has that of `constant`.
* `spread`, how far predictions scatter around their own mean, divided by how far the truth does: 1
  for predictions as diverse as people are, 0 for one pose for everybody.
* `to mean`, the mean distance of predictions to the mean pose of the truth, divided by that of the
  truth: 0 for a model that always predicts it.

Images are not shown to the model again: what it predicts for a person depends on that person's
image alone, so exchanged images exchange predictions.

Below the table is the rank correlation of the step with the error, and with the error divided by
`constant`, since some joints are harder at any step. With --against, the errors are also divided by
those of another run on the same people, such as that of a head without a sequence; this is the
fairest of the three.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from lightning_pose.checkpoint import read_spec
from lightning_pose.errors import DataError
from lightning_pose.geometry import transform_points


@dataclass
class People:
    """N people in the frame of the network's input, whose longer side has length 1.

    Attributes:
        predicted: (x, y) of each predicted joint.
        truth: (x, y) of each true joint.
        labelled: Which joints have a true position.
    """

    predicted: Float[np.ndarray, "N K 2"]
    truth: Float[np.ndarray, "N K 2"]
    labelled: Bool[np.ndarray, "N K"]


@dataclass
class MeanPose:
    """One number per joint, NaN where nobody has it; see the module for what they mean."""

    error: Float[np.ndarray, " K"]
    constant: Float[np.ndarray, " K"]
    shuffled: Float[np.ndarray, " K"]
    spread: Float[np.ndarray, " K"]
    to_mean: Float[np.ndarray, " K"]


def compare(people: People, seed: int = 0) -> MeanPose:
    """Compare predictions with the truth, with the mean pose, and with those for other people.

    Args:
        people: The people, at least 2.
        seed: Seed of the order in which images are exchanged.
    """
    known = people.labelled
    count = known.sum(axis=0)

    def mean(values: np.ndarray) -> np.ndarray:
        """The mean over the people whose joint is labelled."""
        masked = np.where(known[..., None] if values.ndim == 3 else known, values, 0.0)
        with np.errstate(invalid="ignore"):
            return masked.sum(axis=0) / (count[:, None] if values.ndim == 3 else count)

    def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return mean(np.linalg.norm(first - second, axis=-1))

    def scatter(points: np.ndarray) -> np.ndarray:
        return np.sqrt(mean(np.square(points - mean(points)).sum(axis=-1)))

    pose = mean(people.truth)
    # Everybody gets the image of the next person on a shuffled ring: nobody keeps their own.
    ring = np.random.default_rng(seed).permutation(len(known))
    other = np.empty_like(ring)
    other[ring] = np.roll(ring, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return MeanPose(
            error=distance(people.predicted, people.truth),
            constant=distance(pose, people.truth),
            shuffled=distance(people.predicted[other], people.truth),
            spread=scatter(people.predicted) / scatter(people.truth),
            to_mean=distance(people.predicted, pose) / distance(people.truth, pose),
        )


def growth(values: Float[np.ndarray, " K"]) -> float:
    """The rank correlation of values with their place: 1 if they always grow, -1 if they fall."""
    known = np.isfinite(values)
    return float(spearmanr(np.flatnonzero(known), values[known]).statistic)


def read_run(run: Path, head: str | None) -> tuple[People, tuple[str, ...]]:
    """The people of a run's predictions.npz, with the joints in the order of the head's steps.

    Args:
        run: The run's folder.
        head: The head's name; None for the main head.

    Returns:
        The people, and the names of the joints.

    Raises:
        CheckpointError: best.ckpt cannot be used.
        DataError: There is no predictions.npz, or it lacks the head's keypoints.
    """
    spec = read_spec(run / "best.ckpt")
    head = spec.main_head if head is None else head
    path = run / "predictions.npz"
    if not path.is_file():
        raise DataError(f"Expected predictions.npz in {run}, found none; name a finished run.")
    with np.load(path) as file:
        if f"{head}/keypoints" not in file:
            filled = sorted(name for name in file if name.endswith("/keypoints"))
            raise DataError(
                f"Expected {head}/keypoints in {path}, found {', '.join(filled) or 'no keypoints'};"
                " choose another --head."
            )
        shown = list(zip(file["box"], map(tuple, file["image_size"].tolist()), strict=True))
        visibility = file["visibility"]
        both = file[f"{head}/keypoints"], file["keypoints"]
    crops = [spec.input_spec.crop(box, image_size) for box, image_size in shown]
    names = spec.skeleton.names
    part = spec.heads[head]
    while "head" in part["init_args"]:  # A RefinementHead has the steps of the head in it.
        part = part["init_args"]["head"]
    steps = part["init_args"].get("order") or names
    order = [names.index(name) for name in steps]
    predicted, truth = (
        np.stack(
            [
                transform_points(matrix, person[order]).astype(float) / max(size)
                for person, (matrix, size) in zip(points, crops, strict=True)
            ]
        )
        for points in both
    )
    return People(predicted, truth, visibility[:, order] > 0), tuple(steps)


def _in_order(run: Path, steps: Sequence[str], people: People) -> People:
    """The same people as another run's main head predicts them, in the order of these steps."""
    found, names = read_run(run, None)
    if sorted(names) == sorted(steps):
        order = [names.index(name) for name in steps]
        found = People(found.predicted[:, order], found.truth[:, order], found.labelled[:, order])
        if np.array_equal(found.truth, people.truth):
            return found
    raise DataError(
        f"Expected the people, joints and input of the first run in {run}, found others; name a "
        "run with an equal input_spec, scored on the same data with `lightning validate`."
    )


def table(steps: Sequence[str], found: MeanPose, other: MeanPose | None = None) -> list[str]:
    """The lines to print."""
    columns = {name.replace("_", " "): values for name, values in vars(found).items()}
    if other is not None:
        columns["against"] = found.error / other.error
    width = max(map(len, steps))
    lines = [f"step {'joint':{width}}" + "".join(f"{name:>10}" for name in columns)]
    for step, joint in enumerate(steps):
        numbers = "".join(f"{values[step]:10.3f}" for values in columns.values())
        lines.append(f"{step + 1:4} {joint:{width}}{numbers}")
    means = "".join(f"{np.nanmean(values):10.3f}" for values in columns.values())
    lines.append(f"     {'mean':{width}}{means}")
    trends = {"error": found.error, "error / constant": found.error / found.constant}
    if other is not None:
        trends["against"] = found.error / other.error
    for name, values in trends.items():
        lines.append(f"rank correlation of step and {name}: {growth(values):.2f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--head", help="the head, if it is not the main head")
    parser.add_argument("--against", type=Path, help="another run on the same people")
    options = parser.parse_args()
    people, steps = read_run(options.run, options.head)
    other = None
    if options.against is not None:
        other = compare(_in_order(options.against, steps, people))
    print("\n".join(table(steps, compare(people), other)))


if __name__ == "__main__":
    main()
