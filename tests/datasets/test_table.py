import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_pose.datasets import LSPExtendedDataset, TableDataset, table_columns
from lightning_pose.errors import ConfigError, DataError, InputError
from lightning_pose.sample import Sample
from lightning_pose.skeletons import LSP14, Skeleton
from tests.data.lspet import SIZE, write_lspet
from tests.data.table import write_table

CSV = """\
image,left_knee_x,left_knee_y,left_knee_v,right_knee_x,right_knee_y,x0,y0,x1,y1,mask,sport,age
a.jpg,3.5,4,,10,11.25,1,2,30,40,a.png,golf,
a.jpg,5,6,1,,,2,3,20,30,,tennis,31.5
b.jpg,7,8,0,12,13,0,0,9,9,,,7
"""

JSONL = """\
{"image": "a.jpg", "keypoints": {"left_knee": [3.5, 4], "right_knee": [10, 11.25]}, \
"box": [1, 2, 30, 40], "mask": "a.png", "labels": {"sport": "golf", "age": null}}
{"image": "a.jpg", "keypoints": {"left_knee": [5, 6, 1], "right_knee": null}, \
"box": [2, 3, 20, 30], "mask": null, "labels": {"sport": "tennis", "age": 31.5}}
{"image": "b.jpg", "keypoints": {"right_knee": [12, 13, 2], "left_knee": [7, 8, 0]}, \
"box": [0, 0, 9, 9], "labels": {"age": 7}}
"""


def write_images(folder: Path) -> None:
    """Two images, and a mask of the first."""
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(folder / name), np.full((*SIZE, 3), 90, dtype=np.uint8))
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[10:20, 5:45] = 255
    cv2.imwrite(str(folder / "a.png"), mask)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def equal(one: Sample, other: Sample, but: tuple[str, ...] = ()) -> None:
    """Two people are the same in every field."""
    for name, value in vars(one).items():
        if name not in but:
            np.testing.assert_equal(value, getattr(other, name), err_msg=name)


def test_an_image_has_one_name_however_it_is_written(folder: Path) -> None:
    (folder / "x").mkdir()
    rows = ["./a.jpg,1,2,train", "x/../a.jpg,3,4,train", "x//..//b.jpg,5,6,val"]
    text = "image,nose_x,nose_y,split\n" + "\n".join(rows)
    people = TableDataset(write(folder, "p.csv", text))
    assert people.image_ids.tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    with pytest.raises(DataError, match="the split train, as for others in the same image"):
        TableDataset(write(folder, "p.csv", text.replace("3,4,train", "3,4,val")))


@pytest.mark.parametrize(("name", "text", "first"), [("p.csv", CSV, 2), ("p.jsonl", JSONL, 1)])
def test_both_kinds_are_the_people_that_were_written(
    folder: Path, name: str, text: str, first: int
) -> None:
    people = TableDataset(write(folder, name, text))
    assert people.skeleton == Skeleton.from_names(["left_knee", "right_knee"])
    assert people.skeleton.flip_pairs == ((1, 0),)
    assert people.labels == {"sport": ["golf", "tennis"], "age": []}
    assert people.boxes_around == "silhouette"
    assert people.splits is None
    assert people.person_ids.tolist() == [first, first + 1, first + 2]
    assert people.image_ids.tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    one, two, three = (people[index] for index in range(3))
    assert one.keypoints.tolist() == [[3.5, 4], [10, 11.25]]
    assert two.keypoints.tolist() == [[5, 6], [0, 0]]
    assert three.keypoints.tolist() == [[0, 0], [12, 13]]
    assert [p.visibility.tolist() for p in (one, two, three)] == [[2, 2], [1, 0], [0, 2]]
    assert [p.box.tolist() for p in (one, two)] == [[1, 2, 30, 40], [2, 3, 20, 30]]
    assert (one.image_id, one.area, one.head_size, one.torso_size) == ("a.jpg", 0, 0, 0)
    np.testing.assert_equal(
        [p.labels for p in (one, two, three)],
        [{"sport": 0, "age": np.nan}, {"sport": 1, "age": 31.5}, {"sport": -1, "age": 7}],
    )
    assert type(one.labels["sport"]) is int
    assert one.mask.sum() == 400
    assert (two.mask == -1).all()
    assert (three.mask == -1).all()
    assert one.image.shape == (*SIZE, 3)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_people_of_another_dataset_are_the_same_in_a_table(tmp_path: Path, kind: str) -> None:
    write_lspet(tmp_path / "lspet", count=7)
    people = LSPExtendedDataset(tmp_path / "lspet", first=1, last=7)
    write_table(tmp_path / f"people.{kind}", people)
    table = TableDataset(tmp_path / f"people.{kind}", LSP14)
    assert len(table) == 7
    assert table.boxes_around == people.boxes_around == "joints"
    for index in range(7):
        equal(table[index], people[index], but=("person_id", "image_id"))


def test_the_skeleton_orders_the_joints_and_measures_head_and_torso(folder: Path) -> None:
    skeleton = Skeleton.from_names(
        ["neck", "head_top", "left_hip"], head=("neck", "head_top"), torso=("neck", "left_hip")
    )
    header = "image,head_top_x,head_top_y,left_hip_x,left_hip_y,neck_x,neck_y"
    table = TableDataset(write(folder, "p.csv", f"{header}\na.jpg,4,5,,,1,1\n"), skeleton)
    assert table.skeleton is skeleton
    assert table[0].keypoints.tolist() == [[1, 1], [4, 5], [0, 0]]
    assert (table[0].head_size, table[0].torso_size) == (5, 0)
    assert table[0].box.tolist() == [1, 1, 4, 5]
    line = '{"image": "a.jpg", "keypoints": [[1, 1], [4, 5, 1], null]}\n'
    listed = TableDataset(write(folder, "p.jsonl", line), skeleton)
    assert listed[0].keypoints.tolist() == [[1, 1], [4, 5], [0, 0]]
    assert listed[0].visibility.tolist() == [2, 1, 0]


def test_people_without_labelled_joints_and_boxes_have_no_box(folder: Path) -> None:
    table = TableDataset(write(folder, "p.csv", "image,nose_x,nose_y\na.jpg,,\n"))
    assert table.annotation(0).crop_box is None
    assert table[0].visibility.tolist() == [0]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_how_many_are_read_at_a_time_changes_nothing(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, f"p.{kind}", CSV if kind == "csv" else JSONL)
    whole = TableDataset(path)
    monkeypatch.setattr(table_columns, "_NUMBERS_AT_ONCE", 12)
    parts = TableDataset(path)
    for index in range(3):
        equal(parts[index], whole[index])
    assert parts.labels == whole.labels


def test_nothing_is_kept_but_arrays(folder: Path) -> None:
    people = TableDataset(write(folder, "p.csv", CSV))
    columns = {**vars(people.annotations), **people.annotations.labels, "masks": people.masks}
    del columns["labels"]
    assert all(isinstance(column, np.ndarray) for column in columns.values())
    assert all(column.dtype.kind in "fiuS" for column in columns.values())


def test_annotations_need_no_image(folder: Path) -> None:
    path = write(folder, "p.csv", CSV)
    for name in ("a.jpg", "b.jpg", "a.png"):
        (folder / name).write_bytes(b"")
    people = TableDataset(path)
    assert [people.annotation(index).person_id for index in range(3)] == [2, 3, 4]
    with pytest.raises(DataError, match=r"b\.jpg"):
        people.read(2)


def test_a_smaller_image_has_its_frame_and_a_whole_mask(folder: Path) -> None:
    people = TableDataset(write(folder, "p.csv", CSV))
    pixels = people.read(0, shrink=2)
    assert pixels.image.shape == (30, 25, 3)
    assert pixels.image_frame is not None
    np.testing.assert_array_equal(pixels.mask, people[0].mask)
    assert people.read(1, shrink=2).mask is None
    assert people.image_size(0) == SIZE


def test_paths_are_relative_to_the_table_or_absolute(folder: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("tables")
    cv2.imwrite(str(elsewhere / "Zoë, 1.jpg"), np.zeros((8, 9, 3), np.uint8))
    above = os.path.relpath(folder / "b.jpg", elsewhere)
    rows = f'{folder / "a.jpg"},1,2\n"Zoë, 1.jpg",1,2\n{above},1,2\n'
    people = TableDataset(write(elsewhere, "p.csv", f"image,nose_x,nose_y\n{rows}"))
    assert [people[index].image.shape[:2] for index in range(3)] == [SIZE, (8, 9), SIZE]
    assert people[1].image_id == "Zoë, 1.jpg"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_missing_file_is_named_with_its_line(folder: Path, kind: str) -> None:
    path = write(folder, f"p.{kind}", CSV if kind == "csv" else JSONL)
    (folder / "a.png").unlink()
    line = 2 if kind == "csv" else 1
    with pytest.raises(DataError, match=rf"existing mask in line {line} of .*found 'a\.png'; path"):
        TableDataset(path)
    (folder / "b.jpg").rename(folder / "c.jpg")
    with pytest.raises(DataError, match=rf"existing image in line {line + 2} .*found 'b\.jpg'; p"):
        TableDataset(path)


def test_splits_are_kept_and_share_no_image(folder: Path) -> None:
    header = "image,nose_x,nose_y,split"
    path = write(folder, "p.csv", f"{header}\na.jpg,1,2,val\nb.jpg,1,2,train\na.jpg,3,4,val\n")
    people = TableDataset(path)
    assert people.splits is not None
    assert people.splits.tolist() == [b"val", b"train", b"val"]
    assert people.masks is None
    assert people.labels == {}
    path = write(folder, "p.csv", f"{header}\na.jpg,1,2,val\nb.jpg,1,2,test\na.jpg,3,4,train\n")
    with pytest.raises(DataError, match=r"split val, as for others.* line 4 of .*, found train;"):
        TableDataset(path)


def test_joints_of_two_sides_need_names_that_say_so(folder: Path) -> None:
    path = write(folder, "p.csv", "image,knee_l_x,knee_l_y,knee_r_x,knee_r_y\na.jpg,1,2,3,4\n")
    with pytest.raises(ConfigError, match=r"left_NAME and right_NAME in .*p\.csv, found 'knee_l'"):
        TableDataset(path)


@pytest.mark.parametrize("name", ["p.csv", "p.xlsx", "folder.csv", "p.json"])
def test_a_table_that_is_not_there_or_of_another_kind_is_refused(folder: Path, name: str) -> None:
    (folder / "folder.csv").mkdir()
    if name != "p.csv":
        write(folder, "p.json", JSONL)
        write(folder, "p.xlsx", CSV)
    with pytest.raises(ConfigError, match=r"\.csv or \.jsonl, found no such file"):
        TableDataset(folder / name)


@given(st.binary(max_size=300), st.sampled_from(["p.csv", "p.jsonl"]), st.booleans())
def test_any_other_content_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, after_start: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    start = "image,nose_x,nose_y\n" if name == "p.csv" else '{"image": "'
    path.write_bytes(start.encode() * after_start + content)
    with pytest.raises(InputError, match=r"^Expected .*; .*\.$") as caught:
        TableDataset(path)
    assert "\n" not in str(caught.value)


COORDINATE = st.floats(-1e4, 1e4, width=32)


@given(st.lists(st.none() | st.tuples(COORDINATE, COORDINATE, st.sampled_from([0, 1, 2]))))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, points) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_images(folder)
    points = [(1.0, 1.0, 2), None, *(p for p in points if p is None or p[:2] != (0, 0))]
    rows = ("a.jpg,,," if p is None else f"a.jpg,{p[0]!r},{p[1]!r},{p[2]}" for p in points)
    people = TableDataset(write(folder, "p.csv", "\n".join(["image,a_x,a_y,a_v", *rows])))
    expected = [p if p is not None and p[2] else (0, 0, 0) for p in points]
    assert people.annotations.visibility[:, 0].tolist() == [p[2] for p in expected]
    assert people.annotations.keypoints[:, 0].tolist() == [list(p[:2]) for p in expected]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_real_people_are_the_same_in_a_table(real_data: Path, kind: str, tmp_path: Path) -> None:
    if not (real_data / "lspet").is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no lspet/")
    people = LSPExtendedDataset(real_data / "lspet", 1, 200)
    write_table(tmp_path / f"people.{kind}", people)
    table = TableDataset(tmp_path / f"people.{kind}", LSP14)
    assert len(table) == 200
    for index in range(200):
        equal(table[index], people[index], but=("person_id", "image_id"))
