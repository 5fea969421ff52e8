"""The tables, skeletons and commands in docs/own_data.md work as they are written there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_pose.cli import main
from lightning_pose.datasets import TableDataset
from lightning_pose.datasets.skeleton_files import read_skeleton
from tests.test_configs import SHORT

DOCUMENT = Path(__file__).parent.parent / "docs" / "own_data.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of someone who follows the document."""
    (tmp_path / "photos").mkdir()
    for name in ("anna.jpg", "ben.jpg"):
        pixels = np.random.default_rng(0).integers(0, 255, (480, 480, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    (tmp_path / "people.csv").write_text(blocks("csv")[0])
    (tmp_path / "people.jsonl").write_text(blocks("json")[0])
    (tmp_path / "knees.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "four.yaml").write_text(blocks("yaml")[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_is_ten_lines() -> None:
    example = [*blocks("csv")[:1], *blocks("yaml")[:1], *blocks("bash")[:1]]
    assert sum(block.count("\n") for block in example) <= 10


def test_the_first_command_trains(folder: Path) -> None:
    assert main([*shlex.split(blocks("bash")[0])[1:], *SHORT]) == 0
    (run,) = (folder / "checkpoints" / "combined-table").iterdir()
    assert (run / "best.ckpt").is_file()


def test_the_python_draws_the_first_person(folder: Path) -> None:
    (code,) = blocks("python")
    names = {}
    exec(code, names)
    assert names["person"].keypoints.tolist() == [[120.5, 340], [180, 338]]
    with Image.open("anna.png") as drawn:
        assert drawn.size == (480, 480)
    assert (names["drawn"] != names["person"].image).any()


def test_the_json_lines_are_people(folder: Path) -> None:
    people = TableDataset("people.jsonl")
    assert people.splits is not None
    assert people.splits.tolist() == [b"train", b"val"]
    assert people.labels == {"sport": ["golf"]}
    assert people[0].visibility.tolist() == [2, 1]
    assert people[1].visibility.tolist() == [0, 2]


def test_the_skeletons_are_complete(folder: Path) -> None:
    assert read_skeleton("knees.yaml").limbs == ((0, 1),)
    four = read_skeleton("four.yaml")
    assert (four.head, four.torso) == ((0, 1), (2, 3))
