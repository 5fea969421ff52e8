"""A mix of sets: each person is what it is in its set, under the joints and labels of the mix."""

from typing import Any

import numpy as np
import pytest
import torch

from lightning_pose.batch import collate
from lightning_pose.datasets import MixedDataset, PoseDataset
from lightning_pose.datasets.checks import check_people
from lightning_pose.datasets.subset import Subset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import PEOPLE_PER_SET, Annotations, Pixels
from lightning_pose.skeletons import BODY25, COCO17, LSP14, MPII16, Skeleton
from lightning_pose.transforms import PersonCrop

SPORTS = {"sport": ["run", "swim"], "age": []}


class Table(PoseDataset):
    """People at random places, each in an image of one colour; nobody's wrists are labelled."""

    def __init__(
        self,
        skeleton: Skeleton = LSP14,
        count: int = 3,
        labels: dict[str, list[str]] | None = None,
        around: str = "joints",
        names_as: str = "U",
    ) -> None:
        rng = np.random.default_rng([count, skeleton.num_joints])
        self.skeleton, self.labels, self.boxes_around = skeleton, labels or {}, around
        self.person_ids = np.arange(count) * 7 + 5
        wrists = [name.endswith("wrist") for name in skeleton.names]
        visibility = np.where(wrists, 0, rng.integers(1, 3, (count, len(wrists)))).astype(np.uint8)
        points = rng.uniform(10, 90, (count, len(wrists), 2)).astype(np.float32)
        self.annotations = Annotations(
            keypoints=np.where(visibility[..., None] > 0, points, np.float32(0)),
            visibility=visibility,
            box=rng.uniform([10, 10, 60, 60], [40, 40, 90, 90], (count, 4)).astype(np.float32),
            head_size=rng.uniform(1, 9, count),
            torso_size=rng.uniform(1, 9, count),
            area=rng.uniform(1, 9, count),
            person_id=self.person_ids,
            image_id=np.array([f"é{place}.jpg" for place in range(count)]),
            labels={
                name: np.arange(count) % 3 - 1 if classes else np.arange(count) / 2
                for name, classes in self.labels.items()
            },
        )
        if names_as == "S":
            self.annotations.image_id = np.strings.encode(self.annotations.image_id, "utf-8")

    def image_size(self, index: int) -> tuple[int, int]:
        return 100 + index, 100

    def read(self, index: int, shrink: int = 1) -> Pixels:
        size = self.image_size(index)
        mask = np.ones(size, dtype=np.int8) if index else None
        return Pixels(np.full((*size, 3), 10 * index + shrink, dtype=np.uint8), mask=mask)


@pytest.mark.parametrize("target", [LSP14, MPII16, COCO17, BODY25])
def test_joints_are_those_of_the_set_by_name_and_no_joint_is_made(target: Skeleton) -> None:
    sets = {"l": Table(LSP14), "m": Table(MPII16), "c": Table(COCO17)}
    mix = MixedDataset(sets, target)
    assert mix.skeleton is target
    places = [(people, place) for people in sets.values() for place in range(len(people))]
    assert len(mix) == len(places) == 9
    for index, (people, place) in enumerate(places):
        mixed, own = mix.annotation(index), people.annotation(place)
        assert mixed.keypoints.dtype == np.float32
        assert mixed.visibility.dtype == np.uint8
        for joint, name in enumerate(target.names):
            if name in people.skeleton.names:
                there = people.skeleton.names.index(name)
                assert mixed.keypoints[joint].tolist() == own.keypoints[there].tolist()
                assert mixed.visibility[joint] == own.visibility[there]
            else:
                assert mixed.keypoints[joint].tolist() == [0, 0]
                assert mixed.visibility[joint] == 0
    # MPII has a thorax, COCO a nose and shoulders, and neither gives anybody a neck or a head top.
    if target is LSP14:
        coco = mix.annotation(6).visibility[[LSP14.names.index(n) for n in ("neck", "head_top")]]
        assert coco.tolist() == [0, 0]


def test_sizes_boxes_and_pixels_are_those_of_the_set() -> None:
    sets = {"m": Table(MPII16, count=2), "c": Table(COCO17, count=4, around="silhouette")}
    mix = MixedDataset(sets, LSP14)
    for index, (people, place) in enumerate(
        [(sets["m"], 0), (sets["m"], 1), *((sets["c"], place) for place in range(4))]
    ):
        mixed, own = mix.annotation(index), people.annotation(place)
        np.testing.assert_array_equal(mixed.box, own.box)
        for name in ("head_size", "torso_size", "area"):
            assert getattr(mixed, name) == getattr(own, name) > 0
        assert mix.image_size(index) == people.image_size(place)
        assert mix.box_around(index) == people.boxes_around
        pixels, alone = mix.read(index, shrink=3), people.read(place, shrink=3)
        np.testing.assert_array_equal(pixels.image, alone.image)
        assert (pixels.mask is None) == (alone.mask is None)
        assert mix[index].image.shape == (*people.image_size(place), 3)


def test_a_crop_is_that_of_the_persons_own_set() -> None:
    sets = {"tight": Table(count=2), "whole": Table(count=2, around="silhouette")}
    crop = PersonCrop(InputSpec((32, 32)))
    mix = MixedDataset(sets, LSP14)
    part = Subset(mix, np.array([3, 0]))
    crops = [crop(mix, index, np.random.default_rng(0)).crop for index in range(4)]
    for index, (name, place) in enumerate([("tight", 0), ("tight", 1), ("whole", 0), ("whole", 1)]):
        alone = crop(sets[name], place, np.random.default_rng(0)).crop
        np.testing.assert_array_equal(crops[index], alone)
    # The people are the same, but a box around the whole person is enlarged less.
    assert crops[2][0, 0] > 1.1 * crops[0][0, 0]
    for place, index in enumerate([3, 0]):
        again = crop(part, place, np.random.default_rng(0)).crop
        np.testing.assert_array_equal(again, crops[index])


def test_people_are_numbered_by_set_and_keep_their_numbers_when_one_is_added() -> None:
    two = {"a": Table(count=2), "b": Table(count=3)}
    mix = MixedDataset(two, LSP14)
    check_people(mix, LSP14, {})
    assert mix.person_ids.dtype == np.int64
    assert mix.person_ids[:2].tolist() == two["a"].person_ids.tolist()
    assert mix.person_ids[2:].tolist() == [PEOPLE_PER_SET + 5 + 7 * place for place in range(3)]
    assert [mix.annotation(place).person_id for place in range(5)] == mix.person_ids.tolist()
    more = MixedDataset({**two, "c": Table(count=4)}, LSP14)
    check_people(more, LSP14, {})
    assert more.person_ids[:5].tolist() == mix.person_ids.tolist()
    # Far more sets than anybody mixes have numbers of 64 bits.
    many = MixedDataset({f"set{number}": Table(count=1) for number in range(300)}, LSP14)
    assert (np.diff(many.person_ids) == PEOPLE_PER_SET).all()


def test_images_are_named_after_their_set() -> None:
    mix = MixedDataset({"a": Table(count=2), "b-1": Table(count=1, names_as="S")}, LSP14)
    assert mix.image_ids.tolist() == ["a/é0.jpg", "a/é1.jpg", "b-1/é0.jpg"]
    assert [mix.annotation(place).image_id for place in range(3)] == mix.image_ids.tolist()


def test_labels_are_those_of_all_sets_and_classes_are_matched_by_name() -> None:
    sets = {
        "plain": Table(count=2),
        "first": Table(count=3, labels=SPORTS),
        "second": Table(count=3, labels={"sport": ["row", "run"], "place": ["in", "out"]}),
    }
    mix = MixedDataset(sets, LSP14)
    assert mix.labels == {"sport": ["run", "swim", "row"], "age": [], "place": ["in", "out"]}
    check_people(mix, LSP14, mix.labels)
    found = [mix.annotation(place).labels for place in range(8)]
    assert [labels["sport"] for labels in found] == [-1, -1, -1, 0, 1, -1, 2, 0]
    assert [labels["place"] for labels in found] == [-1, -1, -1, -1, -1, -1, 0, 1]
    np.testing.assert_array_equal(
        [labels["age"] for labels in found], [np.nan, np.nan, 0, 0.5, 1, *[np.nan] * 3]
    )
    crop = PersonCrop(InputSpec((32, 32)))
    batch = collate([crop(mix, place, np.random.default_rng(0)) for place in (0, 4, 6)])
    assert batch.labels["sport"].tolist() == [-1, 1, 2]
    assert batch.labels["sport"].dtype == torch.int64
    assert batch.labels["age"].isnan().tolist() == [True, False, True]


def test_an_index_is_that_of_a_sequence() -> None:
    mix = MixedDataset({"a": Table(count=2), "b": Table(count=3)}, LSP14)
    assert mix.annotation(-1).person_id == mix.person_ids[-1]
    assert mix.annotation(-5).person_id == mix.person_ids[0]
    for index in (5, -6):
        with pytest.raises(IndexError):
            mix.annotation(index)
    assert [sample.person_id for sample in mix] == mix.person_ids.tolist()


def test_a_set_without_joints_brings_its_masks() -> None:
    mix = MixedDataset({"a": Table(), "masks": Table(Skeleton.from_names([]), count=2)}, LSP14)
    assert mix.annotation(4).keypoints.tolist() == [[0, 0]] * 14
    assert mix.annotation(4).visibility.tolist() == [0] * 14
    assert mix[4].mask.all()


def test_a_person_that_its_set_gets_wrong_is_refused_as_there() -> None:
    people = Table(LSP14)
    people.skeleton = MPII16
    with pytest.raises(DataError, match=r"visibility of shape \(16,\) for person 12 in 'é1\.jpg'"):
        MixedDataset({"m": people}, LSP14).annotation(1)
    people = Table(LSP14)
    people.labels = SPORTS
    with pytest.raises(DataError, match=r"the labels \['sport', 'age'\] for person 12"):
        MixedDataset({"m": people}, LSP14).annotation(1)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({}, "at least one set to mix, found none"),
        ({"": Table()}, "names of sets .* found ''"),
        ({"a/b": Table()}, "names of sets .* found 'a/b'"),
        ({"a b": Table()}, "names of sets .* found 'a b'"),
        # Metrics may have a value for each joint, or for both knees.
        ({"neck": Table()}, "not those of joints, found 'neck'"),
        ({"a": Table(), "knee": Table()}, "not those of joints, found 'knee'"),
        (
            {"a": Table(), "hand": Table(Skeleton.from_names(["thumb"]), count=1)},
            "some of the joints right_ankle.* found thumb in hand",
        ),
        (
            {"a": Table(labels=SPORTS), "b": Table(labels={"age": ["old", "young"]})},
            "label 'age' with classes in all sets or in none, found .*'b': .'old', 'young'",
        ),
        (
            {"a": Table(labels={"age": ["old", "young"]}), "b": Table(), "c": Table(labels=SPORTS)},
            "label 'age' with classes in all sets or in none, found .*'c': ..}",
        ),
    ],
)
def test_sets_that_cannot_be_mixed_are_refused(sets: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixedDataset(sets, LSP14)


@pytest.mark.parametrize("number", [-1, PEOPLE_PER_SET])
def test_numbers_that_are_those_of_another_set_are_refused(number: int) -> None:
    people = Table()
    people.person_ids = np.array([1, 2, number])
    with pytest.raises(DataError, match=f"person_ids from 0 to .* in the set b, found .*{number}"):
        MixedDataset({"a": Table(), "b": people}, LSP14)


def test_a_mix_in_a_mix_is_refused() -> None:
    inner = MixedDataset({"a": Table(), "b": Table()}, LSP14)
    with pytest.raises(DataError, match=r"in the set inner, .* mix its sets directly"):
        MixedDataset({"inner": inner}, LSP14)
