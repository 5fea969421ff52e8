from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lightning_pose.diagnosis.sides import check_facing, check_sides, swap_scores
from lightning_pose.skeletons import COCO17, LSP14
from tests.diagnosis.drawn import drawn, mirror, table

PAIRS = [name.removeprefix("right_") for name in LSP14.names if name.startswith("right_")]

# Someone who stands with arms and legs spread and faces the camera, in LSP's order.
SPREAD = np.float32(
    [
        [30, 150], [38, 120], [45, 90], [65, 90], [72, 120], [80, 150],
        [5, 60], [20, 50], [40, 40], [70, 40], [90, 50], [105, 60],
        [55, 30], [55, 8],
    ]
)  # fmt: skip


@cache
def somebody():
    return drawn()[0]


def spread(*swapped: str):
    """One person of the pose above, of whom some joints have left and right exchanged."""
    points = SPREAD.copy()
    for name in swapped:
        right, left = LSP14.names.index(f"right_{name}"), LSP14.names.index(f"left_{name}")
        points[[right, left]] = points[[left, right]]
    return replace(somebody(), keypoints=points, visibility=np.full(14, 2, np.uint8))


def test_a_pose_without_contradiction_scores_nothing():
    assert swap_scores(table([spread()])).tolist() == [0]
    assert swap_scores(table([spread(*PAIRS)])).tolist() == [0], "as if seen from behind"


@pytest.mark.parametrize("swapped", [("hip",), ("shoulder", "elbow", "wrist"), ("wrist",)])
def test_a_partial_exchange_is_suspected(swapped: tuple[str, ...]):
    (score,) = swap_scores(table([spread(*swapped)]))
    assert score >= 1


def test_scores_do_not_depend_on_the_frame():
    samples = drawn()
    scores = swap_scores(table(samples))
    turned = [replace(s, keypoints=s.keypoints @ np.float32([[0, 1], [-1, 0]])) for s in samples]
    np.testing.assert_allclose(swap_scores(table(turned)), scores, atol=1e-4)
    mirrored = [mirror(s, LSP14.flip_order) for s in samples]
    np.testing.assert_allclose(swap_scores(table(mirrored)), scores, atol=1e-4)


def test_an_unlabelled_joint_accuses_nobody():
    sample = spread("wrist")
    sample.visibility[[6, 11]] = 0
    assert swap_scores(table([sample])).tolist() == [0]


def test_who_is_suspected_is_listed_and_many_are_wrong():
    samples = drawn()
    assert check_sides(table(samples)) == []
    samples[40] = replace(spread("hip"), person_id=samples[40].person_id)
    (found,) = check_sides(table(samples))
    assert (found.severity, found.suspects) == ("suspicious", (40,))
    assert [f.severity for f in check_sides(table([spread("hip")] * 9))] == ["suspicious"]
    many = [spread("hip") if n % 2 else s for n, s in enumerate(samples)]
    assert [f.severity for f in check_sides(table(many))] == ["wrong"]


def with_face(backwards: bool):
    """A person of COCO's joints who shows both eyes."""
    points = np.zeros((17, 2), np.float32)
    for name, place in zip(LSP14.names, SPREAD, strict=True):
        if name in COCO17.names:
            points[COCO17.names.index(name)] = place
    points[:5] = [[55, 20], [58, 17], [52, 17], [62, 18], [48, 18]]
    order = COCO17.flip_order if backwards else range(17)
    return replace(somebody(), keypoints=points[list(order)], visibility=np.full(17, 2, np.uint8))


def test_a_face_seen_from_behind_accuses_the_sides():
    few = [with_face(backwards=n < 2) for n in range(60)]
    (found,) = check_sides(table(few, COCO17))
    assert (found.severity, found.suspects) == ("suspicious", (0, 1))
    everyone = [with_face(backwards=True) for _ in range(60)]
    assert [f.severity for f in check_sides(table(everyone, COCO17))] == ["wrong"]
    hidden = [with_face(backwards=True) for _ in range(60)]
    for sample in hidden:
        sample.visibility[1] = 1
    assert check_sides(table(hidden, COCO17)) == []


def test_backs_are_suspicious_and_halves_say_nothing():
    def found(share: float) -> list[str]:
        people = [spread() if n < 200 * share else spread(*PAIRS) for n in range(200)]
        return [finding.severity for finding in check_facing([table(people)])]

    assert found(0.8) == []
    assert found(0.5) == ["unknown"]
    assert found(0.2) == ["suspicious"]


def test_splits_are_compared_with_each_other():
    many = table([spread() if n < 160 else spread(*PAIRS) for n in range(200)])
    fewer = table([spread() if n < 125 else spread(*PAIRS) for n in range(200)], split="val")
    assert [f.name for f in check_facing([many, fewer])] == ["val"]
    assert check_facing([many, many]) == []
    assert check_facing([table([spread()] * 49)]) == []
