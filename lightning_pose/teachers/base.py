"""What teachers find in an image: people with joints, and people with masks."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from lightning_pose.skeletons import Skeleton

__all__ = ["MaskTeacher", "Masks", "PoseTeacher", "Poses"]


@dataclass(frozen=True)
class Poses:
    """The people with joints in one image, in pixels of the image (see `geometry`).

    Attributes:
        keypoints: (x, y) of each joint.
        labelled: Which joints the teacher is confident of.
        joint_scores: Confidence in each joint, in the teacher's own unit.
        boxes: (x0, y0, x1, y1) around each whole person.
        scores: Confidence in each person, 0 to 1.
    """

    keypoints: Float32[np.ndarray, "P K 2"]
    labelled: Bool[np.ndarray, "P K"]
    joint_scores: Float32[np.ndarray, "P K"]
    boxes: Float32[np.ndarray, "P 4"]
    scores: Float32[np.ndarray, " P"]


@dataclass(frozen=True)
class Masks:
    """The people with masks in one image.

    Attributes:
        masks: Which pixels are each person.
        boxes: (x0, y0, x1, y1) around each whole person, in pixels of the image.
        scores: Confidence in each person, 0 to 1.
    """

    masks: Bool[np.ndarray, "M H W"]
    boxes: Float32[np.ndarray, "M 4"]
    scores: Float32[np.ndarray, " M"]


class PoseTeacher(Protocol):
    """Finds the joints of the people in an image.

    Attributes:
        skeleton: The joints that it finds.
        about: Its name, version, weights and thresholds, as plain data for the label files.
    """

    skeleton: Skeleton
    about: dict[str, Any]

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], name: str) -> Poses:
        """Find people in an RGB image, which a teacher that reads files knows by its name."""
        ...


class MaskTeacher(Protocol):
    """Finds the masks of the people in an image.

    Attributes:
        about: Its name, version, weights and thresholds, as plain data for the label files.
    """

    about: dict[str, Any]

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Masks:
        """Find people in an RGB image."""
        ...
