import pickle
from pathlib import Path

import numpy as np
import pytest

from lightning_pose.sample import Annotations


def table(count: int = 4, **more: np.ndarray) -> Annotations:
    rng = np.random.default_rng(0)
    return Annotations(
        keypoints=rng.uniform(0, 99, (count, 3, 2)).astype(np.float32),
        visibility=rng.integers(0, 3, (count, 3)).astype(np.uint8),
        box=rng.uniform(0, 99, (count, 4)).astype(np.float32),
        head_size=rng.uniform(0, 9, count).astype(np.float32),
        torso_size=rng.uniform(0, 9, count),
        area=rng.integers(0, 999, count),
        **{
            "person_id": np.arange(100, 100 + count),
            "image_id": np.array([f"{row}.jpg" for row in range(count)]),
            "labels": {"sport": np.arange(count) - 1, "age": rng.uniform(0, 90, count)},
            **more,
        },
    )


def test_a_row_is_one_person_with_python_numbers() -> None:
    people = table()
    assert len(people) == 4
    for index in range(4):
        person = people[index]
        for name in ("keypoints", "visibility", "box"):
            np.testing.assert_array_equal(getattr(person, name), getattr(people, name)[index])
        for name in ("head_size", "torso_size", "area"):
            assert getattr(person, name) == getattr(people, name)[index]
            assert type(getattr(person, name)) is float
        assert (person.person_id, person.image_id) == (100 + index, f"{index}.jpg")
        assert type(person.person_id) is int
        assert type(person.image_id) is str
        assert person.labels == {"sport": index - 1, "age": people.labels["age"][index]}
        assert [type(value) for value in person.labels.values()] == [int, float]


@pytest.mark.parametrize("kind", ["S", object])
def test_names_may_be_bytes_or_objects(kind: object) -> None:
    names = np.array(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]).astype(kind)
    assert table(image_id=names)[2].image_id == "c.jpg"


def test_labels_are_none_by_default() -> None:
    people = table()
    plain = {key: value for key, value in vars(people).items() if key != "labels"}
    assert Annotations(**plain)[0].labels == {}


def test_columns_may_stay_on_disk(tmp_path: Path) -> None:
    people = table()
    mapped = {}
    for name in ("keypoints", "visibility", "box", "head_size", "torso_size", "area", "person_id"):
        np.save(tmp_path / f"{name}.npy", getattr(people, name))
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    found = Annotations(**mapped, image_id=people.image_id, labels=people.labels)
    for index in range(4):
        np.testing.assert_equal(vars(found[index]), vars(people[index]))
    assert pickle.loads(pickle.dumps(found[1])).image_id == "1.jpg"
