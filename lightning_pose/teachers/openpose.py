"""OpenPose's files of keypoints as a teacher of joints."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lightning_pose.datasets.measures import joint_boxes
from lightning_pose.datasets.openpose import KEYPOINTS, openpose_joints, read_openpose
from lightning_pose.errors import ConfigError
from lightning_pose.input_spec import SILHOUETTE
from lightning_pose.skeletons import BODY25
from lightning_pose.teachers.base import Poses

__all__ = ["OpenPoseTeacher"]


class OpenPoseTeacher:
    """The people in the files that OpenPose wrote (Cao et al., TPAMI 2019).

    The file for NAME.jpg is NAME_keypoints.json with the 25 joints of BODY_25, as `--write_json`
    writes it. OpenPose gives no box and no score of a person: the box is that of the labelled
    joints, enlarged to what is usual around a whole person, and the score is the mean over them.

    Args:
        folder: The folder of the files.
        joint_score: Joints with this confidence or a lower one are unlabelled. OpenPose has
            already left out those below its own threshold, with confidence 0.

    Raises:
        ConfigError: There is no such folder.
    """

    skeleton = BODY25

    def __init__(self, folder: Path, joint_score: float = 0.0) -> None:
        if not folder.is_dir():
            raise ConfigError(
                f"Expected a folder of OpenPose's files at {folder}, found none; correct "
                "--openpose."
            )
        self.folder = folder
        self.joint_score = joint_score
        self.about: dict[str, Any] = {"name": "OpenPose BODY_25", "joint_score": joint_score}

    def file(self, name: str) -> Path:
        """The file of keypoints of an image."""
        return self.folder / f"{Path(name).stem}{KEYPOINTS}"

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], name: str) -> Poses:
        """Read the people of one image.

        Args:
            image: The RGB image.
            name: Its file's name.

        Returns:
            The people.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self.file(name)
        people = [openpose_joints(person, path) for person in read_openpose(path)]
        joints = np.array(people).reshape(-1, BODY25.num_joints, 3).astype(np.float32)
        labelled = joints[:, :, 2] > self.joint_score
        keypoints = np.where(labelled[:, :, None], joints[:, :, :2], np.float32(0))
        scores = np.where(labelled, joints[:, :, 2], 0).sum(axis=1)
        boxes = joint_boxes(keypoints, labelled.astype(np.uint8))
        centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        corners = (centres - SILHOUETTE * halves, centres + SILHOUETTE * halves)
        return Poses(
            keypoints=keypoints,
            labelled=labelled,
            joint_scores=joints[:, :, 2],
            boxes=np.concatenate(corners, axis=1).astype(np.float32),
            scores=np.float32(scores / labelled.sum(axis=1).clip(min=1)).reshape(-1),
        )
