from dataclasses import replace

import numpy as np
import pytest

from lightning_pose.diagnosis.labels import check_boxes, check_flags, check_segments
from lightning_pose.skeletons import COCO17, LSP14
from tests.diagnosis.drawn import drawn, measured, table


def test_a_clean_set_has_nothing():
    people = table(drawn())
    assert [*check_flags(people), *check_segments(people), *check_boxes(people)] == []


def test_joints_that_nobody_has_are_named():
    samples = drawn()
    for sample in samples:
        sample.visibility[[6, 11]] = 0
    (found,) = check_flags(table(samples))
    assert found.severity == "suspicious"
    assert "right_wrist, left_wrist" in found.sentence


def test_nobody_with_joints_is_suspicious():
    samples = drawn()
    for sample in samples:
        sample.visibility[:] = 0
    assert [found.title for found in check_flags(table(samples))] == ["Labelled joints"]


@pytest.mark.parametrize("place", [0, -1])
def test_one_joint_in_the_corner_may_be_right(place: int):
    samples = drawn()
    samples[3].keypoints[0] = place
    assert check_flags(table(samples)) == []
    samples[6].keypoints[0] = place, 50  # At the border, and at no placeholder.
    samples[4].keypoints[0:3] = place
    samples[5].keypoints[0] = place
    (found,) = check_flags(table(samples))
    assert (found.severity, found.suspects) == ("wrong", (4, 3, 5))
    assert found.sentence.startswith("5 labelled joints")


@pytest.mark.parametrize(("part", "joint"), [("head", 13), ("torso", 3)])
def test_missing_sizes_are_counted(part: str, joint: int):
    samples = drawn()
    for sample in samples[:100]:
        sample.visibility[joint] = 0
    (found,) = check_segments(table([measured(s) for s in samples]))
    assert (found.severity, found.title) == ("suspicious", f"{part.capitalize()} sizes")
    assert found.sentence.startswith("62 % of the people")
    nobody = [replace(s, **{f"{part}_size": 0.0}) for s in drawn()]
    assert [f.severity for f in check_segments(table(nobody))] == ["wrong"]


def test_a_head_of_no_length_is_reported_with_the_person():
    samples = drawn()
    samples[8].keypoints[13] = samples[8].keypoints[12] + [0.5, 0]
    (found,) = check_segments(table([measured(s) for s in samples]))
    assert (found.title, found.suspects) == ("Short heads", (8,))


def test_a_skeleton_without_a_head_needs_no_head_sizes():
    skeleton = replace(LSP14, head=None)
    samples = [measured(s, skeleton) for s in drawn()]
    assert check_segments(table(samples, skeleton)) == []
    assert COCO17.head is None


def test_a_box_of_somebody_else_is_reported_with_the_person():
    samples = drawn()
    samples[10] = replace(samples[10], box=np.float32([0, 0, 9, 9]))
    (found,) = check_boxes(table(samples))
    assert (found.severity, found.suspects) == ("suspicious", (10,))
    away = [replace(s, box=s.box + np.float32(200)) for s in drawn()]
    assert [f.severity for f in check_boxes(table(away))] == ["wrong"]


def test_boxes_around_the_silhouette_fit():
    grown = np.float32([-9, -9, 9, 9])
    assert check_boxes(table([replace(s, box=s.box + grown) for s in drawn()])) == []
