import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_pose.datamodules.splits import (
    choose_split,
    draw_splits,
    drop_leaks,
    write_lists,
)
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import ConfigError, DataError
from tests.data.lspet import write_lspet

PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> LSPExtendedDataset:
    """Forty people in ten images of one to seven."""
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=40)
    people = LSPExtendedDataset(root, first=1, last=40)
    counts = [1, 7, 2, 6, 3, 5, 4, 4, 3, 5]
    people.annotations.image_id = np.repeat([f"{n}.jpg" for n in range(10)], counts)
    return people


@pytest.mark.parametrize("fractions", [(0.7, 0.15, 0.15), (0.9, 0.1, 0.0), (0.0, 0.0, 1.0)])
def test_everyone_is_in_one_part_of_about_its_size(
    everyone: LSPExtendedDataset, fractions: tuple[float, float, float]
) -> None:
    for seed in range(20):
        parts = [choose_split(everyone, fractions, part, seed) for part in PARTS]
        people = np.concatenate([part.person_ids for part in parts])
        assert sorted(people.tolist()) == everyone.person_ids.tolist()
        for part, fraction in zip(parts, fractions, strict=True):
            # Half of the largest image at each end.
            assert abs(len(part) - 40 * fraction) <= 7
            assert (np.diff(part.indices) > 0).all()
        images = [set(part.image_ids) for part in parts]
        assert sum(len(one) for one in images) == 10


def test_the_seed_alone_decides(everyone: LSPExtendedDataset) -> None:
    def chosen(seed: int) -> list[int]:
        return choose_split(everyone, (0.5, 0.25, 0.25), "train", seed).person_ids.tolist()

    assert chosen(1) == chosen(1)
    assert len({tuple(chosen(seed)) for seed in range(10)}) > 5


def test_lists_name_images(everyone: LSPExtendedDataset, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("2.jpg\n\n 0.jpg \n")
    assert choose_split(everyone, tmp_path, "val", 0).person_ids.tolist() == [1, 9, 10]
    (tmp_path / "val.txt").write_bytes("\ufeff2.jpg\r\n\r\n0.jpg\r\n".encode())
    assert choose_split(everyone, tmp_path, "val", 0).person_ids.tolist() == [1, 9, 10]
    with pytest.raises(ConfigError, match=r"train\.txt, found no such file"):
        choose_split(everyone, tmp_path, "train", 0)
    (tmp_path / "train.txt").write_text("2.jpg\nother.jpg\n")
    with pytest.raises(DataError, match=r"found 1 that the dataset does not.* 'other\.jpg'"):
        choose_split(everyone, tmp_path, "train", 0)


def test_lists_may_be_in_the_home_folder(
    everyone: LSPExtendedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "val.txt").write_text("2.jpg\n")
    assert choose_split(everyone, Path("~"), "val", 0).person_ids.tolist() == [9, 10]


def test_lists_name_images_of_a_table_of_bytes(
    everyone: LSPExtendedDataset, tmp_path: Path
) -> None:
    (tmp_path / "val.txt").write_text("ä.jpg\n0.jpg\n", encoding="utf-8")
    people = copy.copy(everyone)
    names = ["ä.jpg" if name == "2.jpg" else name for name in everyone.image_ids.tolist()]
    table = copy.copy(everyone.annotations)
    table.image_id = np.array([name.encode() for name in names])
    people.annotations = table
    assert people.image_ids.tolist() == names
    assert choose_split(people, tmp_path, "val", 0).person_ids.tolist() == [1, 9, 10]


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.2), (1.2, -0.2, 0.0), (float("nan"), 0.5, 0.5)])
def test_fractions_that_are_no_split_are_refused(
    everyone: LSPExtendedDataset, fractions: tuple[float, float, float]
) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        choose_split(everyone, fractions, "train", 0)


def test_a_part_reads_as_the_whole_does(
    everyone: LSPExtendedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = ("joints", "silhouette", "joints", "joints", "silhouette", "silhouette")
    monkeypatch.setattr(everyone, "box_around", lambda index: around[index % 6])
    part = choose_split(everyone, (0.5, 0.25, 0.25), "test", 3)
    assert part.skeleton == everyone.skeleton
    for place, index in enumerate(part.indices.tolist()):
        np.testing.assert_array_equal(part[place].image, everyone[index].image)
        assert part.annotation(place).person_id == everyone.annotation(index).person_id
        assert part.image_ids[place] == everyone.annotations.image_id[index]
        assert part.image_size(place) == everyone.image_size(index)
        assert part.box_around(place) == everyone.box_around(index)


def test_what_is_written_is_what_is_read(everyone: LSPExtendedDataset, tmp_path: Path) -> None:
    # Names of files may be any bytes; Python has those that are not UTF-8 as surrogates.
    names = np.array(["0\u2028\x1c.jpg", "\u00e4 b.jpg", "gr\udcfc\udcdfe.jpg", *"345678", "9.jpg"])
    people, table = copy.copy(everyone), copy.copy(everyone.annotations)
    table.image_id = names[np.unique(everyone.image_ids, return_inverse=True)[1]]
    people.annotations = table
    parts = np.array([0, 1, 2, -1, 0, 1, 2, 0, 0, -1])
    write_lists(tmp_path / "lists", np.sort(names), parts)
    for part, split in enumerate(PARTS):
        found = choose_split(people, tmp_path / "lists", split, 0)
        assert sorted(set(found.image_ids)) == np.sort(names)[parts == part].tolist()
        assert len(found) == np.isin(table.image_id, np.sort(names)[parts == part]).sum()


units = st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 5)), min_size=1, max_size=30)


@given(units)
def test_no_group_is_in_two_splits_and_the_last_one_keeps_everything(
    images: list[tuple[int, int]],
) -> None:
    parts, names = np.array(images).T
    # A group is named after its first image.
    groups = np.array([names.tolist().index(name) for name in names])
    after = drop_leaks(parts, groups)
    for group in set(groups.tolist()):
        inside = groups == group
        last = parts[inside].max()
        assert after[inside].tolist() == [p if p == last else -1 for p in parts[inside].tolist()]


def test_lists_by_fractions_are_those_of_the_config_where_nothing_is_a_duplicate(
    everyone: LSPExtendedDataset,
) -> None:
    images, image = np.unique(everyone.image_ids, return_inverse=True)
    drawn = draw_splits(np.bincount(image), (0.5, 0.25, 0.25), seed=3)
    for part, split in enumerate(PARTS):
        people = choose_split(everyone, (0.5, 0.25, 0.25), split, 3)
        assert sorted(set(people.image_ids)) == images[drawn == part].tolist()


@pytest.mark.parametrize(("share", "split"), [(0.6, 0), (0.4, 1)])
def test_a_unit_goes_to_the_split_that_its_middle_is_in(share: float, split: int) -> None:
    fractions = (share, 1 - share, 0.0)
    assert draw_splits(np.array([10]), fractions, seed=0).tolist() == [split]
