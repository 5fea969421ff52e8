import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_pose.datasets import SyntheticDataset, synthetic
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import LSP14
from lightning_pose.synthetic import draw_person

LEFT_HIP, RIGHT_SHOULDER, NECK, HEAD_TOP = 3, 8, 12, 13


def test_a_person_depends_on_split_and_index_alone() -> None:
    few, many = SyntheticDataset("val", length=5), SyntheticDataset("val", length=50)
    forward = [few[index] for index in range(5)]
    backward = [many[index] for index in reversed(range(5))]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_equal(vars(one), vars(other))


def test_every_person_has_an_image_of_their_own() -> None:
    people = SyntheticDataset("test", length=12)
    names = [people.annotation(index).image_id for index in range(12)]
    assert people.image_ids.tolist() == names
    assert len(set(names)) == 12


def test_splits_share_nobody() -> None:
    splits = [SyntheticDataset(name, length=100) for name in ("train", "val", "test")]
    numbers = np.concatenate([people.person_ids for people in splits])
    assert len(np.unique(numbers)) == 300
    assert [people[7].person_id for people in splits] == [p.person_ids[7] for p in splits]
    first, second, third = (people[7].image for people in splits)
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"split": "training", "length": 3}, "'training'"),
        ({"split": "train", "length": 0}, "length from 1"),
        ({"split": "train", "length": 10**9 + 1}, "found 1000000001"),
        ({"split": "train", "length": 3, "size": 16}, "64 to 1024 pixels, found 16"),
        ({"split": "train", "length": 3, "size": 2048}, "found 2048"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        SyntheticDataset(**arguments)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_beyond_the_people_ends_a_loop(index: int) -> None:
    people = SyntheticDataset("train", length=3)
    for ask in (people.__getitem__, people.annotation, people.read):
        with pytest.raises(IndexError, match="from 0 to 2"):
            ask(index)


@given(index=st.integers(0, 10**6 - 1), size=st.sampled_from([64, 160, 400]))
@settings(max_examples=30, deadline=None)
def test_a_sample_agrees_with_itself_and_with_the_drawing(index: int, size: int) -> None:
    people = SyntheticDataset("test", length=10**6, size=size)
    sample = people[index]
    points = sample.keypoints
    drawn = draw_person(int(people.person_ids[index]), size)
    np.testing.assert_array_equal(sample.image, drawn.image)
    np.testing.assert_array_equal(sample.mask, drawn.mask)
    np.testing.assert_array_equal(points, drawn.joints)
    assert people.skeleton is LSP14
    assert sample.labels == people.labels == {}
    assert people.image_size(index) == sample.mask.shape
    assert sample.area == sample.mask.sum() > 0
    assert sample.box == pytest.approx([*points.min(axis=0), *points.max(axis=0)])
    assert sample.head_size == pytest.approx(np.linalg.norm(points[NECK] - points[HEAD_TOP]))
    torso = np.linalg.norm(points[RIGHT_SHOULDER] - points[LEFT_HIP])
    assert sample.torso_size == pytest.approx(torso)
    assert sample.head_size > 0
    assert set(np.unique(sample.visibility)) <= {1, 2}
    columns, rows = np.rint(points).astype(int).T
    assert np.array_equal(sample.visibility == 2, sample.mask[rows, columns] == 1)


def test_annotation_and_pixels_draw_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def counting(person_id: int, size: int) -> object:
        drawn.append(person_id)
        return draw_person(person_id, size)

    monkeypatch.setattr(synthetic, "draw_person", counting)
    people = SyntheticDataset("train", length=9, size=64)
    for index in (4, 2, 4):
        people.annotation(index)
        people.read(index, shrink=3)
    assert drawn == [4, 2, 4]
    people[7]
    assert drawn == [4, 2, 4, 7]


def test_nobody_can_spoil_the_drawing_that_is_kept() -> None:
    people = SyntheticDataset("train", length=9, size=64)
    before = people[3]
    pixels = people.read(3)
    pixels.image[:] = 0
    pixels.mask[:] = 1
    people.annotation(3).keypoints[:] = 0
    np.testing.assert_equal(vars(people[3]), vars(before))
    assert before.image.any()
