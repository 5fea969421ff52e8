import os
from pathlib import Path

import numpy as np
import pytest

from lightning_pose.datasets import listing
from lightning_pose.datasets.listing import first_missing


def names(*texts: str) -> np.ndarray:
    return np.unique(np.array([text.encode() for text in texts]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "sub/a.jpg", "sub/deep/ü.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_are_found_wherever_they_are(root: Path) -> None:
    there = ["a.jpg", "b.jpg", "sub/a.jpg", "sub/deep/ü.jpg", "./a.jpg", "sub/../b.jpg"]
    assert first_missing(root, names(*there, str(root / "a.jpg"))) is None
    for name in ("c.jpg", "sub/b.jpg", "no/a.jpg", "/no/a.jpg", "ü.jpg", "a.jpg/b", "zz.jpg"):
        assert first_missing(root, names(*there, name)) == name
    assert first_missing(root, np.zeros(0, dtype="S1")) is None


def test_a_folder_and_a_name_that_cannot_be_are_no_files(root: Path) -> None:
    assert first_missing(root, names("a.jpg", "x" * 999)) == "x" * 999
    assert first_missing(root, names("a.jpg", "x\0y")) == "x\0y"


def test_folders_are_listed_once_and_files_not_looked_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"many/{number}.jpg" for number in range(300)]
    (root / "many").mkdir()
    for name in many:
        (root / name).touch()
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    monkeypatch.setattr(listing, "_is_file", lambda path: pytest.fail(f"looked up {path}"))
    monkeypatch.setattr(listing, "_ENTRIES", 7)
    assert first_missing(root, names("a.jpg", "sub/deep/ü.jpg", *many)) is None
    assert sorted(listed) == [root, root / "many", root / "sub" / "deep"]


def test_what_is_not_listed_is_looked_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a disk that ignores upper and lower case.
    monkeypatch.setattr(listing, "_is_file", lambda path: path.name.lower() == "a.jpg")
    assert first_missing(root, names("A.JPG", "b.jpg")) is None
    assert first_missing(root, names("A.JPG", "b.jpg", "c.jpg")) == "c.jpg"
