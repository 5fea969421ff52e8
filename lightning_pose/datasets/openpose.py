"""Files of keypoints as OpenPose writes them (Cao et al., TPAMI 2019)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from lightning_pose.datasets.measures import FARTHEST
from lightning_pose.errors import DataError
from lightning_pose.skeletons import BODY25

__all__ = ["KEYPOINTS", "openpose_joints", "read_openpose"]

KEYPOINTS = "_keypoints.json"
"""What OpenPose appends to an image's name without its suffix."""


def read_openpose(path: Path) -> list[Any]:
    """Read the people of one image, whose joints `openpose_joints` checks.

    Args:
        path: A file of `--write_json`.

    Returns:
        One entry per person.

    Raises:
        DataError: The file cannot be read, or has no people.
    """
    try:
        content = json.loads(path.read_bytes())
    # Python's reader follows nested lists by recursion.
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"Expected keypoints as JSON in {path}, found that it cannot be read ({error}); write "
            "the file again, or remove it to leave its image out."
        ) from error
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise DataError(
            f"Expected a list 'people' in {path}, found none; use the file that OpenPose writes "
            "with --write_json."
        )
    return people


def openpose_joints(person: Any, path: Path) -> Float64[np.ndarray, "25 3"]:
    """The joints of one person.

    Args:
        person: An entry of `read_openpose`.
        path: Its file, for messages.

    Returns:
        x, y and confidence of each joint of `BODY25`, in pixels of the image from 0.

    Raises:
        DataError: There are not 25 joints, or they are not in pixels.
    """
    values = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
    count = 3 * BODY25.num_joints
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} values" if isinstance(values, list) else "no such list"
        raise DataError(
            f"Expected {count} numbers in 'pose_keypoints_2d' of {path}, x, y and confidence of "
            f"each joint, found {found}; run OpenPose with --model_pose BODY_25."
        )
    for value in values:
        # A boolean is an integer in Python. NaN fails any comparison.
        if type(value) not in (int, float) or not abs(value) < FARTHEST:
            found = type(value).__name__ if isinstance(value, list | dict) else repr(value)[:40]
            raise DataError(
                f"Expected finite numbers in 'pose_keypoints_2d' of {path}, found {found}; write "
                "0, 0, 0 for an unlabelled joint."
            )
    joints = np.array(values, dtype=np.float64).reshape(-1, 3)
    labelled = joints[joints[:, 2] > 0, :2]
    if len(labelled) > 1 and np.abs(labelled).max() <= 1:
        raise DataError(
            f"Expected keypoints in pixels of the image in {path}, found all of them from -1 to 1; "
            "run OpenPose with --keypoint_scale 0."
        )
    return joints
