"""The community's lists of MPII's people, train.json and valid.json, and their ground truth."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from lightning_pose.datasets.matlab import read_mat
from lightning_pose.datasets.measures import FARTHEST
from lightning_pose.errors import DataError

__all__ = ["FIRST_PIXEL", "HEAD_BOX", "MPIIPerson", "read_ground_truth", "read_list"]

FIRST_PIXEL = 1
"""MPII's files count pixels from 1, as MATLAB does: the smallest x of a body joint is 1."""

HEAD_BOX = 0.6
"""The head size is this fraction of the diagonal of the head box."""

_JOINTS = 16
_IMAGE = re.compile(r"[0-9]{9}\.jpg")


@dataclass
class MPIIPerson:
    """One person of an annotation file, in source pixels from 0.

    Attributes:
        image: The name of the image, nine digits and ".jpg".
        keypoints: (x, y) per joint, (0, 0) where it is unlabelled.
        visibility: COCO's flags; 2 if the file has no occlusion flag.
        centre: Roughly the middle of the person, (x, y).
        scale: Roughly the height of the person, in units of 200 pixels.
        head_size: 0.6 times the diagonal of the head box, 0 if there is none.
        activity: The name of the category of what is done in the image, empty if unknown.

    Raises:
        ValueError: The name of the image has another form, or the scale is not positive.
    """

    image: str
    keypoints: Float64[np.ndarray, "16 2"]
    visibility: UInt8[np.ndarray, " 16"]
    centre: Float64[np.ndarray, " 2"]
    scale: float
    head_size: float = 0.0
    activity: str = ""

    def __post_init__(self) -> None:
        """Check what cannot be used."""
        if not _IMAGE.fullmatch(self.image):
            raise ValueError(f"the image {self.image!r} in place of nine digits and .jpg")
        if not self.scale > 0:
            raise ValueError(f"the scale {self.scale}")


def read_list(path: Path) -> list[MPIIPerson]:
    """Read a list in the community's JSON form, without head sizes and activities.

    Args:
        path: The file.

    Returns:
        The people, in the file's order.

    Raises:
        DataError: The file is damaged, or a person in it is.
    """
    layout = "a list of people with image, center, scale, joints and joints_vis"
    try:
        entries = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Expected {layout} in {path}, found that it is not JSON ({error}); download it again."
        ) from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"Expected {layout} in {path}, found none; download it again.")
    people = []
    for number, entry in enumerate(entries):
        try:
            people.append(_person(entry))
        except ValueError as error:
            raise DataError(
                f"Expected {layout} in {path}, found {error} for person {number}, counted from 0; "
                "download it again."
            ) from error
    return people


def read_ground_truth(
    path: Path, labelled: Bool[np.ndarray, "N 16"]
) -> tuple[Float64[np.ndarray, "N 16 2"], Float64[np.ndarray, " N"]]:
    """Read what the official evaluation compares with: gt_valid.mat.

    Args:
        path: The file, with 'pos_gt_src', 'jnt_missing' and 'headboxes_src'.
        labelled: Which joints of which people have a label in valid.json, (N, 16), by which the two
            files are compared.

    Returns:
        The keypoints, (0, 0) where they are unlabelled, and the head sizes in pixels.

    Raises:
        DataError: The file is damaged, or has other people.
    """
    count = len(labelled)
    shapes = {
        "pos_gt_src": (_JOINTS, 2, count),
        "jnt_missing": (_JOINTS, count),
        "headboxes_src": (2, 2, count),
    }
    found = read_mat(path, list(shapes))
    try:
        points, missing, corners = (_numbers(found, *item) for item in shapes.items())
        if ((missing.T == 0) != labelled).any():
            raise ValueError("'jnt_missing' that differs from joints_vis there")
    except ValueError as error:
        raise DataError(
            f"Expected the ground truth of the {count} people of valid.json in {path}, found "
            f"{error}; restore both files, or remove this one to do without."
        ) from error
    keypoints = np.where(labelled[..., None], points.transpose(2, 0, 1) - FIRST_PIXEL, 0)
    return keypoints, HEAD_BOX * np.hypot(*(corners[1] - corners[0]))


def _person(entry: Any) -> MPIIPerson:
    if not isinstance(entry, dict):
        raise ValueError("no object")
    joints = _numbers(entry, "joints", (_JOINTS, 2))
    flags = _numbers(entry, "joints_vis", (_JOINTS,))
    if not np.isin(flags, (0, 1)).all():
        raise ValueError("'joints_vis' other than 0 and 1")
    # What stands in the place of a joint without a label differs between conversions.
    placeholder = (joints == 0).all(axis=1) | (joints == -1).all(axis=1)
    labelled = (flags == 1) & ~placeholder
    return MPIIPerson(
        image=str(entry.get("image")),
        keypoints=np.where(labelled[:, None], joints - FIRST_PIXEL, 0),
        visibility=np.where(labelled, 2, 0).astype(np.uint8),
        centre=_numbers(entry, "center", (2,)) - FIRST_PIXEL,
        scale=float(_numbers(entry, "scale", ())),
    )


def _numbers(
    entries: dict[str, Any], name: str, shape: tuple[int, ...]
) -> Float64[np.ndarray, "*shape"]:
    """The numbers of that name, which are lists or an array."""
    try:
        array = np.asarray(entries.get(name))
    except ValueError:  # Lists of unequal lengths.
        array = np.empty(0, dtype=object)
    if array.dtype.kind in "biuf" and array.shape == shape:
        numbers = array.astype(np.float64)
        if (abs(numbers) < FARTHEST).all():
            return numbers
    raise ValueError(f"no {name!r} of shape {shape} with finite numbers")
