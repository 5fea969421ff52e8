"""The pictures of the systems show the people and the heads that they should."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import system_pictures
from benchmarks.system_pictures import PEOPLE, TwoPeople
from lightning_pose.datasets import SyntheticDataset
from lightning_pose.heads import AttentionLSTMHead, MaskHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.weightings import FixedWeighting
from tests.test_checkpoint import small_model, write


def test_the_people_are_two_of_the_validation() -> None:
    found = TwoPeople(InputSpec((32, 32))).make_dataset("val")
    expected = SyntheticDataset("val", max(PEOPLE) + 1)
    assert found.person_ids.tolist() == [expected.person_ids[place] for place in PEOPLE]
    np.testing.assert_array_equal(found.read(1).image, expected.read(PEOPLE[1]).image)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_each_arm_with_a_checkpoint_gets_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joints = AttentionLSTMHead(hidden=4, layers=1, attention=4)
    arms = {"one": {"mask": MaskHead()}, "two": {"mask": MaskHead(), "joints": joints}}
    for arm, heads in arms.items():
        (tmp_path / arm / "seed_0").mkdir(parents=True)
        model = small_model(heads=heads, weighting=FixedWeighting())
        write(tmp_path / arm / "seed_0" / "last.ckpt", model)
    (tmp_path / "waits" / "seed_0").mkdir(parents=True)
    words = ["system_pictures.py", "--runs", str(tmp_path), "--output", str(tmp_path / "docs")]
    monkeypatch.setattr(sys, "argv", words)
    system_pictures.main()
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"one.jpg", "two.jpg"}
    one, two = (size(tmp_path / "docs" / f"{arm}.jpg") for arm in ("one", "two"))
    assert two[0] > one[0], "another head"
    assert two[1] > one[1], "where each step looks"
