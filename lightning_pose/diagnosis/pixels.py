"""What only the files tell, for some people of each split: whether they open, and the masks."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from lightning_pose.datasets.checks import check_pixels
from lightning_pose.diagnosis.people import People, Track
from lightning_pose.errors import DataError
from lightning_pose.geometry import crop_matrix, image_box, transform_points
from lightning_pose.sample import Pixels

__all__ = ["PixelSample", "readings", "sample_pixels"]

_STEPS = (-0.1, -0.05, 0.0, 0.05, 0.1)


@dataclass(frozen=True)
class PixelSample:
    """What the files of M people of a split say.

    Attributes:
        index: Which people.
        failures: Why training cannot use a person's files, by the person's index.
        masked: Whether a person has a mask.
        covered: The share of the mask that is the person; NaN without a mask, and where only
            unknown pixels may be the person.
        on_mask: The share of visible joints that lie on the mask, for each of the `readings`; NaN
            without a mask or without such joints.
        off_mask: The distance from each labelled joint to the mask in units of the extent; NaN
            where the joint is unlabelled or outside the image, or without a mask.
        lean: How far right of the visible joints the middle of the mask around them is, in pixels
            and in the mean over joints, if all joints are moved by -1, 0 and 1 pixel; NaN without.
    """

    index: Int64[np.ndarray, " M"]
    failures: dict[int, str]
    masked: Bool[np.ndarray, " M"]
    covered: Float64[np.ndarray, " M"]
    on_mask: Float64[np.ndarray, "M R"]
    off_mask: Float64[np.ndarray, "M K"]
    lean: Float64[np.ndarray, "M 3"]


def readings(size: tuple[int, int], extent: float) -> dict[str, Float32[np.ndarray, "2 3"]]:
    """Ways in which the coordinates of a person may have been meant.

    Args:
        size: Height and width of the image in pixels.
        extent: The longer side of the box around the joints in pixels.

    Returns:
        The affine matrix from the coordinates as they are to those that were meant, by its name.

    Example:
        >>> mirror = readings((10, 20), 5.0)["as if the image were mirrored"]
        >>> transform_points(mirror, np.array([[3, 4]], dtype=np.float32)).tolist()
        [[16.0, 4.0]]
    """
    box = image_box(size)
    as_they_are = np.eye(2, 3, dtype=np.float32)
    found = {
        "as they are": as_they_are,
        "with x and y exchanged": as_they_are[::-1],
        "as if the image were mirrored": crop_matrix(box, size, enlarge=1.0, flip=True),
        "with y from the lower edge": crop_matrix(box, size, 1.0, rotation=180.0, flip=True),
    }
    for right in _STEPS:
        for down in _STEPS:
            if right or down:
                moved = as_they_are.copy()
                moved[:, 2] = right * extent, down * extent
                found[f"if moved by {right:+.0%} of a person in x and {down:+.0%} in y"] = moved
    return found


def sample_pixels(people: People, count: int, track: Track) -> PixelSample:
    """Read the files of some people, drawn at random with a fixed seed.

    Args:
        people: Everyone.
        count: How many people; all, if there are fewer.
        track: Shows the progress.

    Returns:
        What was found.
    """
    usable = np.array([n for n in range(len(people)) if n not in people.failures], dtype=np.int64)
    rng = np.random.default_rng(0)
    index = np.sort(rng.choice(usable, min(count, len(usable)), replace=False))
    total, joints = len(index), people.labelled.shape[1]
    sample = PixelSample(
        index=index,
        failures={},
        masked=np.zeros(total, dtype=np.bool_),
        covered=np.full(total, np.nan),
        on_mask=np.full((total, len(readings((1, 1), 1.0))), np.nan),
        off_mask=np.full((total, joints), np.nan),
        lean=np.full((total, 3), np.nan),
    )
    for row in track(range(total), f"Images of {people.name}"):
        person = int(index[row])
        try:
            pixels = people.dataset.read(person)
            check_pixels(pixels, people.dataset.annotation(person))
        except DataError as error:
            sample.failures[person] = str(error)
            continue
        if pixels.mask is not None and (pixels.mask >= 0).any():
            _compare(people, person, pixels, sample, row)
    return sample


def _compare(people: People, person: int, pixels: Pixels, sample: PixelSample, row: int) -> None:
    """Compare one person's joints with the mask."""
    assert pixels.mask is not None, "the caller has one"
    sample.masked[row] = True
    if (pixels.mask == 1).any() or not (pixels.mask < 0).any():
        sample.covered[row] = (pixels.mask == 1).mean()
    points, extent = people.table.keypoints[person], float(people.extent[person])
    if pixels.mask_frame is not None:
        points = transform_points(pixels.mask_frame, points)
        extent *= float(np.sqrt(abs(np.linalg.det(pixels.mask_frame[:, :2]))))
    # An unknown pixel may be the person.
    mask = (pixels.mask != 0).astype(np.uint8)
    labelled, visible = people.labelled[person], people.table.visibility[person] == 2
    if mask.any():
        away = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / extent
        sample.off_mask[row, labelled] = _look_up(away, points[labelled], np.nan)
    if visible.any():
        size = (mask.shape[0], mask.shape[1])
        matrices = np.stack(list(readings(size, extent).values()))
        read = points[visible] @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
        sample.on_mask[row] = _look_up(mask, read, 0.0).mean(axis=1)
        for column, right in enumerate((-1.0, 0.0, 1.0)):
            moved = points[visible] + np.array([right, 0.0], dtype=np.float32)
            sample.lean[row, column] = _lean(mask, moved, extent)


def _look_up(
    values: np.ndarray, points: Float32[np.ndarray, "*J 2"], outside: float
) -> Float64[np.ndarray, "*J"]:
    """The values at the pixels nearest to points, and another one outside the image."""
    height, width = values.shape
    columns, rows = np.moveaxis(np.rint(points).astype(np.int64), -1, 0)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    found = np.full(columns.shape, outside, dtype=np.float64)
    found[inside] = values[rows[inside], columns[inside]]
    return found


def _lean(
    mask: UInt8[np.ndarray, "H W"], points: Float32[np.ndarray, "J 2"], extent: float
) -> float:
    """How far right of joints the mask's middle is within a window around each, in the mean."""
    reach = max(3, round(0.06 * extent))
    steps = np.arange(-reach, reach + 1)
    leans = []
    for x, y in points.tolist():
        column, row = round(x), round(y)
        if column < reach or row < reach:
            continue
        window = mask[row - reach : row + reach + 1, column - reach : column + reach + 1]
        if window.shape != (len(steps), len(steps)) or not window.any():
            continue
        weight = window.sum(axis=0, dtype=np.float64)
        leans.append(column + float(weight @ steps) / float(weight.sum()) - x)
    return float(np.mean(leans)) if leans else float("nan")
