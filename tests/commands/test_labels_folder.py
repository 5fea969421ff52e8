"""The folder of `lightning prepare`, without the command."""

from pathlib import Path

import numpy as np
import pytest

from lightning_pose.commands.labels_folder import LabelsFolder
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import COCO17
from lightning_pose.teachers import LabelledPerson


def person(pose_score: float | None, mask_score: float | None) -> LabelledPerson:
    return LabelledPerson(
        keypoints=np.zeros((17, 2), np.float32),
        labelled=np.zeros(17, bool),
        joint_scores=np.zeros(17, np.float32),
        box=np.float32([0, 0, 4, 4]),
        pose_score=pose_score,
        mask=None if mask_score is None else np.ones((5, 5), bool),
        mask_score=mask_score,
    )


def test_the_score_of_a_person_is_the_lower_one_of_its_teachers(tmp_path: Path) -> None:
    people = [person(0.9, 0.6), person(0.5, 0.8), person(0.7, None), person(None, 0.95)]
    with LabelsFolder(tmp_path / "output", COCO17, {"teacher": "none"}) as folder:
        folder.add("a.png", {"a.png": "1"}, (5, 5), people)
        scores = folder.write_people(["a.png", "missing.png"])
    np.testing.assert_allclose(scores, [0.6, 0.5, 0.7, 0.95])


def test_labels_of_other_files_are_made_again(tmp_path: Path) -> None:
    (tmp_path / "output" / "labels").mkdir(parents=True)  # Of a run that was stopped at once.
    with LabelsFolder(tmp_path / "output", COCO17, {}) as folder:
        assert not folder.is_done("a.png", {"a.png": "1"})
        folder.add("a.png", {"a.png": "1"}, (5, 5), [])
        assert folder.is_done("a.png", {"a.png": "1"})
        assert not folder.is_done("a.png", {"a.png": "2"})


def test_a_folder_is_free_again_after_a_refusal(tmp_path: Path) -> None:
    with LabelsFolder(tmp_path / "output", COCO17, {}) as folder:
        folder.write_people([])
    folder.people.write_bytes(b"corrected")
    for _ in range(2):
        with (
            pytest.raises(ConfigError, match="found that it was changed"),
            LabelsFolder(tmp_path / "output", COCO17, {}),
        ):
            pass


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    with LabelsFolder(tmp_path / "output", COCO17, {}) as folder:
        with pytest.raises(ValueError, match="not JSON compliant"):
            folder.add("a.png", {}, (5, 5), [person(float("nan"), None)])
        assert not folder.is_done("a.png", {})
