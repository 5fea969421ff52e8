"""People from two teachers: whose joints belong to whose mask."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy.optimize import linear_sum_assignment

from lightning_pose.teachers.base import Masks, Poses

__all__ = ["LabelledPerson", "pair"]

_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class LabelledPerson:
    """One person with what the teachers found, in pixels of the image.

    Attributes:
        keypoints: (x, y) of each joint.
        labelled: Which joints are labelled.
        joint_scores: Confidence in each joint, in the teacher's own unit.
        box: (x0, y0, x1, y1) around the whole person.
        pose_score: Confidence in the person by the teacher of joints; None without joints.
        mask: Which pixels are the person; None without a mask.
        mask_score: Confidence in the person by the teacher of masks; None without a mask.
    """

    keypoints: Float32[np.ndarray, "K 2"]
    labelled: Bool[np.ndarray, " K"]
    joint_scores: Float32[np.ndarray, " K"]
    box: Float32[np.ndarray, " 4"]
    pose_score: float | None = None
    mask: Bool[np.ndarray, "H W"] | None = None
    mask_score: float | None = None


def pair(poses: Poses, masks: Masks | None) -> list[LabelledPerson]:
    """Give each person with joints the mask that covers them, and keep the others as they are.

    A pair shares at least half of the person's labelled joints. Each mask belongs to at most one
    person, so that the shares add up to the most. This needs no box from either teacher, which
    files of keypoints lack. A person without a labelled joint and without a mask is left out.

    Args:
        poses: The people with joints.
        masks: The people with masks, in the same image; None without a teacher of masks.

    Returns:
        The people with joints in their order, then those with only a mask.

    Example:
        >>> points = np.float32([[[1, 0], [1, 1]]])
        >>> both = np.ones((1, 2), dtype=bool)
        >>> box, one = np.float32([[0, 0, 2, 2]]), np.float32([1])
        >>> poses = Poses(points, both, np.float32([[3, 3]]), box, one)
        >>> left, right = [[1, 0, 0]] * 2, [[0, 1, 1]] * 2
        >>> masks = Masks(np.array([left, right], dtype=bool), box.repeat(2, 0), one.repeat(2))
        >>> [(p.labelled.tolist(), p.mask[0].tolist()) for p in pair(poses, masks)]
        [([True, True], [False, True, True]), ([False, False], [True, False, False])]
    """
    if masks is None:
        empty = np.zeros((0, 4), dtype=np.float32)
        masks = Masks(np.zeros((0, 1, 1), dtype=np.bool_), empty, empty[:, 0])
    shares = _shares(poses, masks)
    # Too small a share is none: it must not decide who gets a mask that covers another's joints.
    shares[shares < _LEAST_SHARE] = 0
    rows, columns = linear_sum_assignment(shares, maximize=True)
    mask_of = {
        int(person): int(mask)
        for person, mask in zip(rows, columns, strict=True)
        if shares[person, mask] > 0
    }
    found = [
        LabelledPerson(
            keypoints=poses.keypoints[person],
            labelled=poses.labelled[person],
            joint_scores=poses.joint_scores[person],
            box=poses.boxes[person] if mask is None else masks.boxes[mask],
            pose_score=float(poses.scores[person]),
            mask=None if mask is None else masks.masks[mask],
            mask_score=None if mask is None else float(masks.scores[mask]),
        )
        for person, mask in ((one, mask_of.get(one)) for one in range(len(poses.scores)))
        if poses.labelled[person].any()
    ]
    joints = poses.keypoints.shape[1]
    for mask in sorted(set(range(len(masks.scores))) - set(mask_of.values())):
        if masks.masks[mask].any():
            found.append(
                LabelledPerson(
                    keypoints=np.zeros((joints, 2), dtype=np.float32),
                    labelled=np.zeros(joints, dtype=np.bool_),
                    joint_scores=np.zeros(joints, dtype=np.float32),
                    box=masks.boxes[mask],
                    mask=masks.masks[mask],
                    mask_score=float(masks.scores[mask]),
                )
            )
    return found


def _shares(poses: Poses, masks: Masks) -> Float64[np.ndarray, "P M"]:
    """The share of each person's labelled joints that each mask covers."""
    count, height, width = masks.masks.shape
    columns, rows = np.moveaxis(np.round(poses.keypoints).astype(np.int64), -1, 0)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    counted = poses.labelled & inside
    covered = np.zeros((len(poses.scores), count))
    for person, joints in enumerate(counted):
        on = masks.masks[:, rows[person, joints], columns[person, joints]]
        covered[person] = on.sum(axis=1) / max(1, int(poses.labelled[person].sum()))
    return covered
