"""Damaged annotation files are read, or refused with our errors; nothing else leaves a reader."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import scipy.io
from hypothesis import strategies as st

from lightning_pose.datasets import (
    COCODataset,
    FolderDataset,
    LSPDataset,
    LSPExtendedDataset,
    MPIIDataset,
    PoseDataset,
    TableDataset,
)
from lightning_pose.errors import InputError
from lightning_pose.input_spec import InputSpec
from lightning_pose.transforms import PersonCrop
from tests.data.coco import write_coco
from tests.data.folder import write_folder
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.data.mpii import annotated, point, write_mpii, write_release
from tests.data.table import write_table

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from([0, -1, 10**400, 1e308, math.nan, math.inf, "", "nan", "../a", "a\0b", [], {}]),
    st.lists(st.floats(), max_size=4),
)
"""A value that a file may have in the place of the right one."""

patient = hypothesis.settings(
    max_examples=100,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def read(make: Callable[[], PoseDataset]) -> bool:
    """Read and crop everybody; whether all of it could be read."""
    crop = PersonCrop(InputSpec((16, 16)))
    try:
        people = make()
        for index in range(len(people)):
            crop(people, index, np.random.default_rng(0))
    except InputError as error:
        sentence = str(error)
    else:
        return True
    assert "\n" not in sentence
    return False


def replace_somewhere(content: Any, draw: Callable[[Any], Any]) -> Any:
    """The content of a JSON file with one odd value, or without one, at any depth."""
    content = copy.deepcopy(content)
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            return content
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
            place = place[key]
        elif draw(st.integers(0, 2)):
            place[key] = draw(ODD)
            return content
        else:
            del place[key]
            return content


def open_coco(root: Path) -> PoseDataset:
    return COCODataset(root / "people.json", root / "val2017")


def open_mpii(root: Path) -> PoseDataset:
    return MPIIDataset(root, "val")


JSON = {
    "coco": (open_coco, "people.json"),
    "mpii": (open_mpii, "valid.json"),
    "folder": (FolderDataset, "keypoints/0002_keypoints.json"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny set in each layout."""
    roots = {
        name: tmp_path_factory.mktemp("data") / name
        for name in ("coco", "mpii", "folder", "lsp", "lspet", "table", "release")
    }
    content = write_coco(roots["coco"], count=4)
    (roots["coco"] / "people.json").write_text(json.dumps(content))
    write_mpii(roots["mpii"])
    write_folder(roots["folder"], count=3)
    write_lsp(roots["lsp"], count=3)
    write_lspet(roots["lspet"], count=3)
    roots["table"].mkdir()
    for name in ("people.csv", "people.jsonl"):
        write_table(roots["table"] / name, LSPExtendedDataset(roots["lspet"], 1, 3))
    return roots


@pytest.mark.parametrize("kind", list(JSON))
@patient
@hypothesis.given(data=st.data())
def test_odd_values_in_json(kind: str, written: dict[str, Path], data: st.DataObject) -> None:
    make, name = JSON[kind]
    path = written[kind] / name
    whole = path.read_text()
    try:
        path.write_text(json.dumps(replace_somewhere(json.loads(whole), data.draw)))
        read(lambda: make(written[kind]))
    finally:
        path.write_text(whole)
    assert read(lambda: make(written[kind]))


@patient
@hypothesis.given(data=st.data())
def test_odd_values_in_json_lines(written: dict[str, Path], data: st.DataObject) -> None:
    path = written["table"] / "people.jsonl"
    lines = path.read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(replace_somewhere(json.loads(lines[number]), data.draw))
    damaged = path.with_name("damaged.jsonl")
    damaged.write_text("\n".join(lines))
    read(lambda: TableDataset(damaged))
    assert read(lambda: TableDataset(path))


@patient
@hypothesis.given(data=st.data())
def test_odd_cells_in_a_csv(written: dict[str, Path], data: st.DataObject) -> None:
    path = written["table"] / "people.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(rows[row]) - 1))
    cells = st.one_of(st.text(max_size=8), st.floats().map(str), st.integers().map(str))
    rows[row][column] = data.draw(cells)
    damaged = path.with_name("damaged.csv")
    damaged.write_text("\n".join(",".join(cells) for cells in rows), errors="surrogatepass")
    read(lambda: TableDataset(damaged))
    assert read(lambda: TableDataset(path))


@pytest.mark.parametrize("kind", [LSPDataset, LSPExtendedDataset])
@patient
@hypothesis.given(data=st.data())
def test_odd_arrays_in_joints_mat(
    kind: type[PoseDataset], written: dict[str, Path], data: st.DataObject
) -> None:
    root = written["lsp" if kind is LSPDataset else "lspet"]
    whole = (root / "joints.mat").read_bytes()
    joints = scipy.io.loadmat(root / "joints.mat")["joints"]
    place = tuple(data.draw(st.integers(0, length - 1)) for length in joints.shape)
    joints[place] = data.draw(st.floats())
    changed = data.draw(
        st.sampled_from([joints, joints[:-1], joints[..., :1], joints.astype("U"), joints > 1])
    )
    name = data.draw(st.sampled_from(["joints", "joint"]))
    try:
        scipy.io.savemat(root / "joints.mat", {name: changed})
        read(lambda: kind(root))
    finally:
        (root / "joints.mat").write_bytes(whole)
    assert read(lambda: kind(root))


@patient
@hypothesis.given(data=st.data())
def test_odd_values_in_the_release_of_mpii(written: dict[str, Path], data: st.DataObject) -> None:
    points = [point(joint, 10.0 + joint, 20.0, is_visible=1) for joint in range(16)]
    fields = {"x1": 10.0, "y1": 5.0, "x2": 30.0, "y2": 25.0, "scale": 0.3}
    (changed,) = data.draw(
        st.lists(st.sampled_from(["id", "x", "y", *fields]), min_size=1, max_size=1)
    )
    odd = data.draw(st.one_of(st.floats(), st.text(max_size=4), st.just(np.empty((0, 0)))))
    if changed in fields:
        fields[changed] = odd
    else:
        points[3] = {**points[3], changed: odd}
    person = annotated(points, **fields)
    write_release(written["release"], [("000000001.jpg", [person], "sports")])
    read(lambda: MPIIDataset(written["release"]))


FILES = {
    "coco": (open_coco, "people.json"),
    "mpii": (open_mpii, "valid.json"),
    "ground truth": (open_mpii, "gt_valid.mat"),
    "folder": (FolderDataset, "keypoints/0002_keypoints.json"),
    "lsp": (LSPDataset, "joints.mat"),
    "lspet": (LSPExtendedDataset, "joints.mat"),
    "csv": (lambda root: TableDataset(root / "people.csv"), "people.csv"),
    "jsonl": (lambda root: TableDataset(root / "people.jsonl"), "people.jsonl"),
}


@pytest.mark.parametrize("kind", list(FILES))
@patient
@hypothesis.given(data=st.data())
def test_damaged_bytes(kind: str, written: dict[str, Path], data: st.DataObject) -> None:
    make, name = FILES[kind]
    root = written[{"ground truth": "mpii", "csv": "table", "jsonl": "table"}.get(kind, kind)]
    whole = (root / name).read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(st.binary(max_size=4))
    left_out = data.draw(st.sampled_from([0, len(put), 40, len(whole)]))
    try:
        (root / name).write_bytes(whole[:start] + put + whole[start + left_out :])
        read(lambda: make(root))
    finally:
        (root / name).write_bytes(whole)
    assert read(lambda: make(root))
