from dataclasses import replace

import pytest

from lightning_pose.diagnosis.skeleton import _differences, check_skeleton, check_symmetry
from lightning_pose.skeletons import BODY25, COCO17, LSP14, MPII16, Skeleton
from tests.diagnosis.drawn import drawn, table


@pytest.mark.parametrize("skeleton", [LSP14, MPII16, COCO17, BODY25])
def test_our_skeletons_are_right(skeleton):
    assert check_skeleton(skeleton, 0.5) == []


@pytest.mark.parametrize("pair", range(len(LSP14.flip_pairs)))
def test_a_missing_pair_is_found_by_its_names(pair):
    pairs = [p for n, p in enumerate(LSP14.flip_pairs) if n != pair]
    (found,) = check_skeleton(replace(LSP14, flip_pairs=tuple(pairs)), 0.5)
    right, left = sorted(LSP14.names[joint] for joint in LSP14.flip_pairs[pair])[::-1]
    assert f"leaves {right} in its place instead of exchanging it with {left}" in found.sentence


def test_joints_without_sides_are_a_reason_not_to_flip():
    skeleton = Skeleton.from_names(["hand", "foot", "neck"])
    (found,) = check_skeleton(skeleton, 0.5)
    assert found.severity == "suspicious"
    assert check_skeleton(skeleton, 0.0) == []
    assert check_skeleton(Skeleton.from_names(["nose"]), 0.5) == []


@pytest.mark.parametrize("others", [["neck"], ["left_hip", "right_hip"]])
def test_sides_with_other_names_are_wrong_if_training_flips(others: list[str]):
    skeleton = Skeleton.from_names(["l_hand", "r_hand", *others])
    (found,) = check_skeleton(skeleton, 0.5)
    assert (found.severity, found.title) == ("wrong", "Flip pairs")
    assert "does not exchange l_hand and r_hand" in found.sentence
    assert check_skeleton(skeleton, 0.0) == []


def test_a_wrong_pair_without_names_is_found_by_distances():
    anonymous = replace(LSP14, names=tuple(f"joint{n}" for n in range(14)))
    assert check_skeleton(anonymous, 0.5) == check_symmetry(table(drawn(), anonymous)) == []
    for pairs in (
        ((0, 4), (1, 5), *LSP14.flip_pairs[2:]),  # Knees with ankles.
        (LSP14.flip_pairs[0], (1, 3), (2, 4), *LSP14.flip_pairs[3:]),  # Hips with knees.
        LSP14.flip_pairs[1:],  # An ankle is no joint of the middle.
    ):
        skeleton = replace(anonymous, flip_pairs=pairs)
        (found,) = check_symmetry(table(drawn(), skeleton))
        assert found.severity == "wrong"


def test_mirroring_everyone_changes_no_distance():
    samples = drawn()
    before = _differences(table(samples))
    for sample in samples:
        sample.keypoints[:, 0] = 159 - sample.keypoints[:, 0]
    assert abs(_differences(table(samples)) - before).max() < 1e-5


def test_few_people_say_nothing():
    skeleton = replace(LSP14, flip_pairs=((0, 4), (1, 5), *LSP14.flip_pairs[2:]))
    assert check_symmetry(table(drawn()[:90], skeleton)) == []
