"""Boxes and lengths that follow from the joints of all people, and what a coordinate may be."""

import numpy as np
from jaxtyping import Float32, UInt8

__all__ = ["FARTHEST", "joint_boxes", "segment_lengths"]

FARTHEST = 1e6
"""No image has a million pixels along a side: a coordinate beyond this is damaged."""


def joint_boxes(
    keypoints: Float32[np.ndarray, "N K 2"], visibility: UInt8[np.ndarray, "N K"]
) -> Float32[np.ndarray, "N 4"]:
    """The boxes that are tight around the labelled joints.

    Args:
        keypoints: (x, y) per joint.
        visibility: COCO's flags; 0 is unlabelled.

    Returns:
        (x0, y0, x1, y1) per person, zeros if no joint is labelled.

    Example:
        >>> points = np.array([[[3, 4], [1, 9], [100, 100]]], dtype=np.float32)
        >>> joint_boxes(points, np.array([[2, 1, 0]], dtype=np.uint8)).tolist()
        [[1.0, 4.0, 3.0, 9.0]]
    """
    labelled = visibility[:, :, None] > 0
    low = np.where(labelled, keypoints, np.float32(np.inf)).min(axis=1)
    high = np.where(labelled, keypoints, np.float32(-np.inf)).max(axis=1)
    return np.where(labelled.any(axis=1), np.concatenate((low, high), axis=1), np.float32(0))


def segment_lengths(
    keypoints: Float32[np.ndarray, "N K 2"],
    visibility: UInt8[np.ndarray, "N K"],
    ends: tuple[int, int] | None,
) -> Float32[np.ndarray, " N"]:
    """The distance between two joints of each person, such as the ends of the head.

    Args:
        keypoints: (x, y) per joint.
        visibility: COCO's flags; 0 is unlabelled.
        ends: The two joints; None if the skeleton has no such segment.

    Returns:
        The lengths, 0 (unknown) where an end is unlabelled.

    Example:
        >>> points = np.array([[[0, 0], [3, 4]]] * 2, dtype=np.float32)
        >>> segment_lengths(points, np.array([[2, 2], [2, 0]], dtype=np.uint8), (0, 1)).tolist()
        [5.0, 0.0]
    """
    if ends is None:
        return np.zeros(len(keypoints), dtype=np.float32)
    lengths = np.linalg.norm(keypoints[:, ends[0]] - keypoints[:, ends[1]], axis=1)
    return np.where(visibility[:, ends].all(axis=1), lengths, 0).astype(np.float32)
