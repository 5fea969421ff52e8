from pathlib import Path

import numpy as np
import pytest

from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import BODY25
from lightning_pose.teachers import OpenPoseTeacher
from tests.data.folder import SIZE, write_folder, write_people

IMAGE = np.zeros((*SIZE, 3), dtype=np.uint8)


def test_everyone_in_a_file_is_found(tmp_path: Path) -> None:
    joints = write_folder(tmp_path, count=3)
    write_people(tmp_path, "0000", *(person.ravel().tolist() for person in joints))
    teacher = OpenPoseTeacher(tmp_path / "keypoints")
    assert teacher.skeleton == BODY25
    found = teacher(IMAGE, "0000.jpg")
    labelled = joints[:, :, 2] > 0
    np.testing.assert_array_equal(found.labelled, labelled)
    np.testing.assert_array_equal(found.keypoints[labelled], joints[labelled][:, :2].astype("f4"))
    assert not found.keypoints[~labelled].any()
    np.testing.assert_array_equal(found.joint_scores, joints[:, :, 2].astype("f4"))
    for person in range(3):
        expected = joints[person, labelled[person], 2].mean()
        assert found.scores[person] == pytest.approx(expected)


def test_the_box_gives_the_crop_of_a_box_around_the_joints(tmp_path: Path) -> None:
    joints = write_folder(tmp_path, count=1)[0, :, :2]
    box = OpenPoseTeacher(tmp_path / "keypoints")(IMAGE, "0000.jpg").boxes[0]
    tight = np.concatenate((joints.min(axis=0), joints.max(axis=0))).astype(np.float32)
    matrix, _ = InputSpec().crop(box, None, around="silhouette")
    expected, _ = InputSpec().crop(tight, None, around="joints")
    np.testing.assert_allclose(matrix, expected, rtol=1e-4, atol=1e-3)


def test_uncertain_joints_are_unlabelled(tmp_path: Path) -> None:
    joints = write_folder(tmp_path, count=1)[0]
    found = OpenPoseTeacher(tmp_path / "keypoints", joint_score=0.5)(IMAGE, "0000.jpg")
    np.testing.assert_array_equal(found.labelled[0], joints[:, 2].astype("f4") > 0.5)
    assert 0 < found.labelled.sum() < 25


def test_nobody_is_nobody(tmp_path: Path) -> None:
    write_folder(tmp_path, count=1)
    write_people(tmp_path, "0000")
    found = OpenPoseTeacher(tmp_path / "keypoints")(IMAGE, "0000.jpg")
    assert found.keypoints.shape == (0, 25, 2)
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, count=1)
    with pytest.raises(ConfigError, match=r"files at .*nothing, found none; correct --openpose"):
        OpenPoseTeacher(tmp_path / "nothing")
    teacher = OpenPoseTeacher(tmp_path / "keypoints")
    with pytest.raises(DataError, match=r"other_keypoints\.json, found that it cannot be read"):
        teacher(IMAGE, "other.jpg")
    write_people(tmp_path, "0000", [1.0] * 54)
    with pytest.raises(DataError, match=r"Expected 75 numbers .*found 54 values"):
        teacher(IMAGE, "0000.jpg")
