from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_pose.teachers import LabelledPerson, Masks, Poses, pair
from lightning_pose.teachers.people import _shares

SIZE = (20, 30)


def poses_at(*people: list[tuple[float, float]], labelled: np.ndarray | None = None) -> Poses:
    """People with joints at (x, y), of scores 0.9, 0.8 and so on."""
    points = np.float32(people).reshape(len(people), -1, 2)
    scores = 0.9 - np.arange(len(people), dtype=np.float32) / 10
    shown = np.ones(points.shape[:2], dtype=np.bool_) if labelled is None else labelled
    boxes = np.repeat(np.float32([[1, 2, 3, 4]]), len(people), axis=0)
    return Poses(points, shown, 7 * np.ones(points.shape[:2], dtype=np.float32), boxes, scores)


def masks_of(*boxes: tuple[int, int, int, int]) -> Masks:
    """Rectangles, of scores 0.99, 0.98 and so on; the last edges are outside."""
    masks = np.zeros((len(boxes), *SIZE), dtype=np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    scores = 0.99 - np.arange(len(boxes), dtype=np.float32) / 100
    return Masks(masks, np.float32(boxes).reshape(-1, 4), scores)


def left(person: LabelledPerson) -> int | None:
    """The left edge of a person's mask."""
    return None if person.mask is None else int(np.flatnonzero(person.mask.any(axis=0))[0])


def test_joints_get_the_mask_that_covers_them() -> None:
    poses = poses_at([(22, 5), (24, 9)], [(2, 5), (4, 9)])
    first, second = pair(poses, masks_of((0, 0, 10, 20), (20, 0, 30, 20)))
    assert (left(first), left(second)) == (20, 0)
    assert first.keypoints.tolist() == [[22, 5], [24, 9]]
    assert first.joint_scores.tolist() == [7, 7]
    assert first.box.tolist() == [20, 0, 30, 20]
    assert (first.pose_score, first.mask_score) == pytest.approx((0.9, 0.98))
    assert (second.pose_score, second.mask_score) == pytest.approx((0.8, 0.99))


def test_a_mask_belongs_to_one_person_although_it_covers_two() -> None:
    # The person behind has most joints where the one in front is.
    front, behind = [(5, 5), (6, 9), (7, 12), (8, 15)], [(6, 5), (7, 9), (8, 12), (15, 15)]
    people = pair(poses_at(behind, front), masks_of((0, 0, 10, 20), (10, 0, 20, 20)))
    assert [left(person) for person in people] == [None, 0, 10]
    assert people[0].box.tolist() == [1, 2, 3, 4]
    assert people[0].mask_score is None


def test_shares_that_are_too_small_take_no_mask_from_another() -> None:
    # 6 of 10 joints of the first person are on the first mask, and 4 on the second; the second has
    # 4 on the first, so that exchanged masks would cover more, but none enough.
    one = [(5, y) for y in range(6)] + [(15, y) for y in range(4)]
    other = [(6, y) for y in range(4)] + [(25, y) for y in range(6)]
    people = pair(poses_at(one, other), masks_of((0, 0, 10, 20), (10, 0, 20, 20)))
    assert [left(person) for person in people] == [0, None, 10]


def test_half_of_the_labelled_joints_on_a_mask_are_enough() -> None:
    points = [(5, 5), (5, 6), (25, 5), (25, 6), (25, 7)]
    for last, expected in ((True, None), (False, 0)):
        labelled = np.array([[True, True, True, True, last]])
        person = pair(poses_at(points, labelled=labelled), masks_of((0, 0, 10, 20)))[0]
        assert left(person) == expected


def test_joints_outside_the_image_are_on_no_mask() -> None:
    points = [(5, 5), (-3, 5), (5, -4), (200, 5), (5, 300)]
    everywhere = masks_of((0, 0, 30, 20))
    joints, mask = pair(poses_at(points), everywhere)
    assert (joints.mask, joints.labelled.sum()) == (None, 5)
    assert (left(mask), mask.labelled.sum()) == (0, 0)


def test_a_mask_alone_is_a_person_without_joints() -> None:
    (person,) = pair(poses_at([(25, 5)], labelled=np.array([[False]])), masks_of((0, 0, 10, 20)))
    assert (person.pose_score, left(person)) == (None, 0)
    assert not person.labelled.any()
    assert person.keypoints.tolist() == [[0, 0]]


def test_a_person_without_anything_is_left_out() -> None:
    labelled = np.array([[True], [False]])
    poses = poses_at([(25, 5)], [(5, 5)], labelled=labelled)
    (person,) = pair(poses, masks_of((0, 0, 0, 0)))
    assert (person.pose_score, person.mask) == (pytest.approx(0.9), None)


def test_without_a_teacher_of_masks_there_are_none() -> None:
    (person,) = pair(poses_at([(25, 5)]), None)
    assert (person.mask, person.mask_score) == (None, None)


def test_nobody_is_nobody() -> None:
    poses = Poses(
        np.zeros((0, 17, 2), np.float32),
        np.zeros((0, 17), np.bool_),
        np.zeros((0, 17), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
    )
    assert pair(poses, masks_of()) == pair(poses, None) == []
    assert len(pair(poses, masks_of((0, 0, 5, 5)))) == 1


@given(st.data())
def test_no_other_pairs_cover_more_joints(data: st.DataObject) -> None:
    """Against all possible pairs, one by one."""
    places = st.tuples(st.integers(0, 29), st.integers(0, 19))
    people = data.draw(st.lists(st.lists(places, min_size=3, max_size=3), min_size=1, max_size=4))
    corners = st.tuples(st.integers(0, 15), st.integers(0, 10), st.integers(16, 30), st.just(20))
    masks = masks_of(*data.draw(st.lists(corners, min_size=1, max_size=4)))
    poses = poses_at(*people)
    shares = _shares(poses, masks)
    for person, points in enumerate(people):
        for mask in range(len(masks.scores)):
            on = [masks.masks[mask, y, x] for x, y in points]
            assert shares[person, mask] == pytest.approx(np.mean(on))
    padded = np.zeros((4, 4))
    padded[: len(people), : shares.shape[1]] = shares
    most = max(padded[range(4), list(order)].sum() for order in permutations(range(4)))
    found = pair(poses, masks)[: len(people)]
    scores = masks.scores.tolist()
    chosen = [None if p.mask_score is None else scores.index(p.mask_score) for p in found]
    used = [mask for mask in chosen if mask is not None]
    assert len(set(used)) == len(used)
    covered = sum(shares[n, mask] for n, mask in enumerate(chosen) if mask is not None)
    # Only pairs of less than half of the joints may be missing.
    assert covered >= most - 0.5 * chosen.count(None) - 1e-9
    assert all(shares[n, mask] >= 0.5 for n, mask in enumerate(chosen) if mask is not None)
