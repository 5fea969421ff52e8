"""Checks of coordinates against the borders of the images: no pixels are needed."""

import numpy as np
from jaxtyping import Bool, Float

from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People, count_people, percent, worst

__all__ = ["check_places", "count_from"]

# A click can miss the border by a pixel, and coordinates that count from 1 do so by one.
_BEYOND = 1.0
_MOST_OUTSIDE = 0.05
_FEWEST_OUTSIDE = 10
_FEWEST_PEOPLE = 30
_FEWEST_JOINTS = 100
_SMALLEST = 10.0


def check_places(people: People) -> list[Finding]:
    """Find joints and boxes outside the images, another scale, and exchanged or turned axes.

    Args:
        people: The people.

    Returns:
        What was found.
    """
    return [
        *_outside(people),
        *_boxes_outside(people),
        *_scale(people),
        *_exchanged(people),
        *_upright(people),
    ]


def _known(people: People) -> Bool[np.ndarray, "N K"]:
    """The joints that are labelled, in images whose size is known."""
    found: np.ndarray = people.labelled & (people.sizes > 0).all(axis=1, keepdims=True)
    return found


def _outside(people: People) -> list[Finding]:
    points, width_height = people.table.keypoints, people.sizes[:, None, ::-1]
    beyond = np.maximum(-0.5 - points, points - (width_height - 0.5)).max(axis=2)
    beyond = np.where(_known(people), beyond, 0)
    outside = beyond > _BEYOND
    if not outside.any():
        return []
    share = outside.sum() / _known(people).sum()
    concerned = np.any(outside, axis=1)
    whose = count_people(int(concerned.sum()))
    sentence = (
        f"{outside.sum()} labelled joints ({percent(share)}) of {whose} "
        f"lie more than a pixel outside their image, the farthest by {beyond.max():.0f} pixels; "
    )
    severe = share > _MOST_OUTSIDE and concerned.sum() >= _FEWEST_OUTSIDE
    if severe:
        sentence += (
            f"annotators place at most {percent(_MOST_OUTSIDE)} there, so check that coordinates "
            "are (x, y) in pixels of these images."
        )
    else:
        sentence += "some annotators mark joints there on purpose, others are slips."
    return [
        Finding(
            "wrong" if severe else "suspicious",
            people.name,
            "Joints outside the image",
            sentence,
            worst(beyond.max(axis=1) / people.extent, concerned),
        )
    ]


def _boxes_outside(people: People) -> list[Finding]:
    """A crop of a box outside the image shows little or nothing of it."""
    known = (people.sizes > 0).all(axis=1)
    low, high = people.table.box[:, :2], people.table.box[:, 2:]
    outside = (high <= -0.5) | (low >= people.sizes[:, ::-1] - 0.5)
    beside = known & np.any(outside, axis=1)
    if not beside.any():
        return []
    count = int(beside.sum())
    share = count / known.sum()
    sentence = (
        f"The boxes of {count_people(count)} ({percent(share)}) lie entirely outside their image, "
        "so that a crop shows little or nothing of it; correct them, in pixels of the image."
    )
    severe = share > _MOST_OUTSIDE and count >= _FEWEST_OUTSIDE
    return [
        Finding(
            "wrong" if severe else "suspicious",
            people.name,
            "Boxes outside the image",
            sentence,
            worst(np.ones(len(people)), beside),
        )
    ]


def _scale(people: People) -> list[Finding]:
    """People are in the middle of images, on average over many, and larger than a few pixels."""
    chosen = (people.labelled.sum(axis=1) > 1) & (people.sizes > 0).all(axis=1)
    if chosen.sum() < _FEWEST_PEOPLE:
        return []
    typical = float(np.median(people.extent[chosen]))
    if typical < _SMALLEST:
        sentence = (
            f"Half of the people are smaller than {typical:.2f} pixels, from their first to their "
            "last joint; check that coordinates are in pixels, not in fractions of the image."
        )
        return [Finding("wrong", people.name, "Scale of the coordinates", sentence)]
    boxes = people.joint_boxes[chosen]
    centres = (boxes[:, :2] + boxes[:, 2:] + 1) / 2 / people.sizes[chosen, ::-1]
    middle = np.median(centres, axis=0)
    # The standard error of a median is 1.25 times that of a mean. People stand and sit at any
    # height, but the world has no preferred side: the middle in x of each of the sets in the field
    # is from 0.48 to 0.54.
    error = 1.25 * centres.std(axis=0) / np.sqrt(len(centres))
    away = np.abs(middle - 0.5) > 0.1 + 3 * error
    same_way = (middle[0] < 0.5) == (middle[1] < 0.5)
    if not away[0]:
        return []
    sentence = (
        f"The middle of the people is at {middle[0]:.2f} of the width and {middle[1]:.2f} of the "
        "height of the images, in the median, where about 0.5 is usual; "
    )
    if away[1] and same_way:
        sentence += "check that coordinates are in pixels of these images, not of resized ones."
        return [Finding("wrong", people.name, "Scale of the coordinates", sentence)]
    sentence += "check that all people of an image are labelled, and that x is x."
    return [Finding("suspicious", people.name, "Scale of the coordinates", sentence)]


def _exchanged(people: People) -> list[Finding]:
    """In images that are not square, exchanged coordinates leave the image."""
    sizes = people.sizes
    uneven = sizes.max(axis=1, keepdims=True) > 1.1 * sizes.min(axis=1, keepdims=True)
    known = _known(people) & uneven
    if known.sum() < _FEWEST_JOINTS:
        return []
    points = people.table.keypoints
    as_they_are = _share_inside(points, people, known)
    exchanged = _share_inside(points[:, :, ::-1], people, known)
    if exchanged < as_they_are + _MOST_OUTSIDE:
        return []
    sentence = (
        f"{percent(as_they_are)} of the labelled joints lie in their image, and "
        f"{percent(exchanged)} would if x and y were exchanged; check their order in the file."
    )
    return [Finding("wrong", people.name, "Order of x and y", sentence)]


def _share_inside(
    points: Float[np.ndarray, "N K 2"], people: People, known: Bool[np.ndarray, "N K"]
) -> float:
    limit = people.sizes[:, None, ::-1] - 0.5 + _BEYOND
    inside = np.all((points >= -0.5 - _BEYOND) & (points <= limit), axis=2)
    return float(inside[known].mean())


def _upright(people: People) -> list[Finding]:
    """The mean direction from the hips to the shoulders points upwards, even in gymnastics."""
    places = people.places("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    if places is None:
        return []
    complete = np.all(people.labelled[:, places], axis=1)
    if complete.sum() < _FEWEST_PEOPLE:
        return []
    hips_shoulders = people.table.keypoints[complete][:, places]
    spine = hips_shoulders[:, 2:].mean(axis=1) - hips_shoulders[:, :2].mean(axis=1)
    spine /= np.maximum(np.linalg.norm(spine, axis=1, keepdims=True), 1e-6)
    x, y = spine.mean(axis=0).tolist()
    if abs(x) > 0.3 and abs(x) > abs(y):
        direction, cause = "to the left" if x < 0 else "to the right", "x and y are exchanged"
    elif y > 0.3:
        direction, cause = "down", "y is counted from the lower edge"
    else:
        return []
    sentence = (
        f"From the hips to the shoulders, people point {direction} on average (mean direction "
        f"x {x:.2f}, y {y:.2f}; y from -0.3 to -1 is usual): either they lie or hang, or {cause}; "
        "look at some of them."
    )
    return [Finding("suspicious", people.name, "Upright people", sentence)]


def count_from(people: People) -> tuple[int | None, str]:
    """Whether coordinates seem to count from 0, from 1, or from -1, by the joints on the borders.

    Joints at the border of an image, where a person is cut off, tell: the first pixel is 0, and
    the last is the width less 1. Inside the image, nothing tells a pixel from its neighbour.

    Args:
        people: The people.

    Returns:
        0, 1 or -1, or None if there are too few such joints; and what was counted, in words.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> from lightning_pose.diagnosis.people import read_people
        >>> people = read_people("val", "val", SyntheticDataset("val", 2), lambda items, _: items)
        >>> count_from(people)[0] is None  # Synthetic people are not cut off.
        True
    """
    known = _known(people) & ~people.at_placeholder
    pixel = np.rint(people.table.keypoints[known])
    last = np.broadcast_to(people.sizes[:, None, ::-1], people.table.keypoints.shape)[known] - 1
    before, first = int((pixel == -1).sum()), int((pixel == 0).sum())
    final, past = int((pixel == last).sum()), int((pixel == last + 1).sum())
    counted = (
        f"coordinates of the first pixel: {first}, one before it: {before}; of the last pixel: "
        f"{final}, one past it: {past}"
    )
    if past >= 10 and past > 10 * first:
        return 1, counted
    if before >= 10 and before > 10 * final:
        return -1, counted
    if first >= 10 and final >= 10 and past <= first / 5 and before <= final / 5:
        return 0, counted
    return None, counted
