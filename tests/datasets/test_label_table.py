from pathlib import Path

import numpy as np
import pytest

from lightning_pose.datasets.label_table import read_label_table
from lightning_pose.errors import DataError


def test_numbers_and_classes_are_told_apart_and_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        'image, height ,activity,note\nb.jpg,1.75,walk,\nc.jpg,,"stand, lean",\na.jpg,-2e1,,\n'
    )
    table = read_label_table(path)
    assert table.images == ["b.jpg", "c.jpg", "a.jpg"]
    assert table.classes == {"height": [], "activity": ["stand, lean", "walk"], "note": []}
    np.testing.assert_array_equal(table.columns["height"], np.float32([1.75, np.nan, -20]))
    assert table.columns["activity"].tolist() == [1, 0, -1]
    assert np.isnan(table.columns["note"]).all()


def test_images_find_their_rows_and_are_unknown_without_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,height,activity\nb.jpg,1.5,walk\na.jpg,2,run\n")
    labels = read_label_table(path).of(["a.jpg", "x.jpg", "b.jpg"])
    np.testing.assert_array_equal(labels["height"], np.float32([2, np.nan, 1.5]))
    assert labels["activity"].tolist() == [0, -1, 1]
    # The type decides in a batch whether a label is a class.
    assert (labels["height"].dtype, labels["activity"].dtype) == (np.float32, np.int64)


def test_no_file_has_no_labels(tmp_path: Path) -> None:
    table = read_label_table(tmp_path / "labels.csv")
    assert table.classes == table.of(["a.jpg"]) == {}


def test_a_table_without_rows_has_labels_that_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,height\n")
    table = read_label_table(path)
    assert table.classes == {"height": []}
    assert np.isnan(table.of(["a.jpg"])["height"]).all()


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("\ufeffimage,activity\r\na.jpg,Läufer\r\n,\r\n\r\n".encode())
    table = read_label_table(path)
    assert table.images == ["a.jpg"]
    assert table.classes == {"activity": ["Läufer"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"column 'image' .* in line 1 of .*found none"),
        (b"name,height\na.jpg,1\n", r"column 'image' .*found 'name', 'height'"),
        (b"image;height\na.jpg;1\n", r"found 'image;height'; .*commas"),
        (b"image,image\na.jpg,1\n", r"different names.*found 'image', 'image'"),
        (b"image,age,age\na.jpg,1,1\n", r"different names.*'age', 'age'"),
        (b",image,age\n0,a.jpg,1\n", r"found '', 'image', 'age'"),
        (b"image,age\na.jpg,1\na.jpg,2\n", r"another image in line 3 .*'a\.jpg' as in line 2"),
        (b"image,age\na.jpg,1\n,2\n", r"another image in line 3 of .*found none"),
        (b"image,age\na.jpg,1,2\n", r"Expected 2 cells in line 2 of .*found 3; .*quotes"),
        (b"image,age\na.jpg\n", r"Expected 2 cells in line 2 of .*found 1; .*quotes"),
        (b"image,age\na.jpg,31\nb.jpg,old\n", r"number as the label 'age' in line 3.*found 'old'"),
        (b"image,age\na.jpg,inf\n", r"finite number as the label 'age' in line 2.*found inf"),
        (b"image,age\na.jpg,nan\n", r"finite number as the label 'age' in line 2.*found nan"),
        (b"image,age\na.jpg,-1e60\n", r"finite number as the label 'age' .*found -1e\+60"),
        (b"image,age\nb\xe4r.jpg,1\n", r"text in UTF-8 in line 2"),
        (b'image,age\n"a"b.jpg,1\n', r"cells separated by commas in line 2"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_label_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(DataError, match="Expected to read"):
        read_label_table(tmp_path / "labels.csv")
