"""The published annotations of MPII Human Pose, mpii_human_pose_v1_u12_1.mat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_pose.datasets.matlab import read_mat
from lightning_pose.datasets.measures import FARTHEST
from lightning_pose.datasets.mpii_lists import FIRST_PIXEL, HEAD_BOX, MPIIPerson
from lightning_pose.errors import DataError
from lightning_pose.skeletons import MPII16

__all__ = ["ACTIVITIES", "read_release"]

ACTIVITIES = (
    "bicycling", "conditioning exercise", "dancing", "fishing and hunting", "home activities",
    "home repair", "inactivity quiet/light", "lawn and garden", "miscellaneous", "music playing",
    "occupation", "religious activities", "running", "self care", "sports", "transportation",
    "volunteer activities", "walking", "water activities", "winter activities",
)  # fmt: skip
"""The categories of activities (act.cat_name) in alphabetical order."""


def read_release(path: Path) -> list[MPIIPerson]:
    """Read everyone whose joints are public.

    People without joints, position (objpos) or scale are left out: everyone in the test images,
    and some in training images.

    Args:
        path: The file, with the struct RELEASE.

    Returns:
        The people, in the file's order.

    Raises:
        DataError: The file is damaged, or an entry in it is.
    """
    found, people, entry = read_mat(path, ["RELEASE"]), [], "the file"
    try:
        (release,) = _structs(found.get("RELEASE"), "RELEASE", count=1)
        images = _structs(_field(release, "annolist"), "annolist")
        acts = _structs(_field(release, "act"), "act", count=len(images))
        for number, (image, act) in enumerate(zip(images, acts, strict=True), start=1):
            entry = f"annolist({number})"
            people += _people(image, act)
    except ValueError as error:
        raise DataError(
            f"Expected the annotations of MPII Human Pose in {path}, found {error} in {entry}; "
            "download the file again."
        ) from error
    if not people:
        raise DataError(
            f"Expected people with joints in {path}, found none; download the file again."
        )
    return people


def _people(image: Any, act: Any) -> list[MPIIPerson]:
    """The people in one image."""
    people = []
    for person in _structs(_field(image, "annorect"), "annorect"):
        holders = _structs(_field(person, "annopoints"), "annopoints")
        points = [p for holder in holders for p in _structs(_field(holder, "point"), "point")]
        places = _structs(_field(person, "objpos"), "objpos")
        scale = _number(person, "scale")
        if not points or not len(places) or scale is None:
            continue
        (file,) = _structs(_field(image, "image"), "image", count=1)
        keypoints, visibility = _joints(points)
        people.append(
            MPIIPerson(
                image=_text(file, "name"),
                keypoints=keypoints,
                visibility=visibility,
                centre=np.array(_position(places[0], "objpos")),
                scale=scale,
                head_size=_head_size(person),
                activity=_activity(act),
            )
        )
    return people


def _joints(points: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The keypoints (16, 2) and the visibility (16,) of annopoints.point."""
    keypoints = np.zeros((MPII16.num_joints, 2))
    visibility = np.zeros(MPII16.num_joints, dtype=np.uint8)
    for point in points:
        joint, shown = _number(point, "id"), _number(point, "is_visible")
        if joint is None or joint not in range(len(visibility)) or shown not in (None, 0, 1):
            raise ValueError(f"a point with id {joint} and is_visible {shown}")
        keypoints[int(joint)] = _position(point, "point")
        # The ends of the head have no flag.
        visibility[int(joint)] = 1 if shown == 0 else 2
    return keypoints, visibility


def _position(struct: Any, name: str) -> tuple[float, float]:
    x, y = _number(struct, "x"), _number(struct, "y")
    if x is None or y is None:
        raise ValueError(f"{name} without x and y")
    return x - FIRST_PIXEL, y - FIRST_PIXEL


def _head_size(person: Any) -> float:
    left, top, right, bottom = (_number(person, name) for name in ("x1", "y1", "x2", "y2"))
    if left is None or top is None or right is None or bottom is None:
        return 0.0
    return HEAD_BOX * float(np.hypot(right - left, bottom - top))


def _activity(act: Any) -> str:
    name = _text(act, "cat_name")
    if name and name not in ACTIVITIES:
        raise ValueError(f"the unknown activity {name!r}")
    return name


def _structs(value: Any, name: str, count: int | None = None) -> np.ndarray:
    """The elements of a struct array; an empty array of any class has none, as in MATLAB."""
    array = value if isinstance(value, np.ndarray) else np.empty(0)
    if (array.size and array.dtype.names is None) or count not in (None, array.size):
        raise ValueError(f"{name} that is not {count or 'an array of'} struct{'s'[count == 1 :]}")
    return array.ravel()


def _field(struct: Any, name: str) -> Any:
    """A field of a struct; None where the struct has no such field."""
    return struct[name] if name in (struct.dtype.names or ()) else None


def _number(struct: Any, name: str) -> float | None:
    """A number, perhaps stored as text; None where it is empty or missing."""
    value = _field(struct, name)
    if value is None or value.size == 0:
        return None
    try:
        number = float(value.item())
    except (TypeError, ValueError):  # Several, or something else.
        number = np.nan
    if not abs(number) < FARTHEST:
        raise ValueError(f"{name} that is not a finite number")
    return number


def _text(struct: Any, name: str) -> str:
    """A text; empty where it is empty or missing."""
    value = _field(struct, name)
    if value is None or value.size == 0:
        return ""
    if value.dtype.kind != "U" or value.size > 1:
        raise ValueError(f"{name} that is not a text")
    return str(value.item())
