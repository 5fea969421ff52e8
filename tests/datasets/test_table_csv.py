from pathlib import Path

import pytest

from lightning_pose.datasets.table_csv import open_csv
from lightning_pose.datasets.table_rows import Row
from lightning_pose.errors import DataError

HEADER = "image,nose_x,nose_y"


def rows(folder: Path, text: str | bytes, skeleton: list[str] | None = None) -> list[Row]:
    path = folder / "p.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(open_csv(path, skeleton).rows)


@pytest.mark.parametrize(
    "text",
    [
        b"image,nose_x,nose_y\na.jpg,1.5,-2\n",
        # As spreadsheets of Windows write it: a byte order mark, two bytes at the end of a line.
        b"\xef\xbb\xbfimage,nose_x,nose_y\r\na.jpg,1.5,-2\r\n",
        b'"image", nose_x ,nose_y\n"a.jpg", 1.5 , -2\n',
        b"image,nose_x,nose_y\na.jpg,15e-1,-2.0",
        # As pandas writes it, with its index.
        b",image,nose_x,nose_y\n0,a.jpg,1.5,-2\n",
        b"nose_y,image,,nose_x,\n-2,a.jpg,,1.5,\n,,,,\n\n",
    ],
)
def test_the_same_table_may_be_written_in_many_ways(tmp_path: Path, text: bytes) -> None:
    ((_, image, mask, split, box, joints, labels),) = rows(tmp_path, text)
    assert (image, mask, split, labels) == ("a.jpg", "", "", [])
    assert joints[:2] == [1.5, -2]
    assert str([*joints[2:], *box]) == "[nan, nan, nan, nan, nan]"


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    found = rows(tmp_path, f'\n{HEADER},note\n\na.jpg,1,2,\nb.jpg,1,2,"two\nlines"\nc.jpg,,,\n')
    assert [(row.line, row.image) for row in found] == [(4, "a.jpg"), (6, "b.jpg"), (7, "c.jpg")]


def test_other_columns_are_labels(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        f"age,{HEADER},sport,nose_v,ear_vis\n31.5,a,1,2,1_0,2,\n,b,1,2,,,3\n"
    )
    table = open_csv(tmp_path / "p.csv", None)
    assert table.joints == ("nose",)
    assert table.labels == ("age", "sport", "ear_vis")
    assert [row.labels for row in table.rows] == [[31.5, "1_0", None], [None, None, 3]]


def test_joints_are_in_the_order_of_the_skeleton(tmp_path: Path) -> None:
    text = "a_x,b_y,image,b_x,a_y\n1,4,i.jpg,3,2\n"
    assert [v for v in rows(tmp_path, text)[0].joints if v > 0] == [1, 2, 3, 4]
    assert [v for v in rows(tmp_path, text, ["b", "a"])[0].joints if v > 0] == [3, 4, 1, 2]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", r"a header in line 1 of .*p\.csv, found an empty file"),
        (b"\n,,\n", r"a header in line 1 of .*, found an empty file"),
        (b"\nfile,nose_x,nose_y\n", r"a column 'image' in line 2 of .*, found 'file', 'nose_x', "),
        (b"image;nose_x;nose_y\n", r"found 'image;nose_x;nose_y'; .* separated by commas"),
        (b"image,nose_x,nose_y,nose_x\n", r"different names of columns .*'nose_x' more than once"),
        (b"image,x0,x1,nose_x,nose_y\n", r"all of the columns x0.*found 'x0', 'x1'; without them"),
        (b"image,sport\n", r"NAME_x and NAME_y for each joint.*found 'image', 'sport'; name them"),
        (b"image,_x,_y\n", r"NAME_x and NAME_y for each joint.*found 'image', '_x', '_y'; name"),
        (b"image,nose_x,nose_y,ear_y\n", r"a column NAME_x and .* found no 'ear_x'; add it"),
        (b"image,nose_x,nose_y,ear_v\n", r"found no 'ear_x', 'ear_y'; add it; other columns must"),
        (
            b"image,nose_x,nose_y,Split\n",
            r"a column called split in line 1 .*found 'Split'; write",
        ),
        (b"image,nose_x,nose_y,subset\n", r"a column called split in .*found 'subset'; write"),
        (b"image,nose_x,nose_y,X_min\n", r"a column called x0 in line 1 .*found 'X_min'; write"),
        (b"image,nose_x,nose_y,ymax\n", r"a column called y1 in line 1 .*found 'ymax'; write"),
        (b"image,nose_x,nose_y,bbox\n", r"columns called x0, y0, x1 and y1 in .*'bbox'; write"),
        (b"image,nose_x,nose_y,bbox_x,bbox_y,bbox_w,bbox_h\n", r"columns called x0, .*'bbox_x'"),
        (b"image,min_x,min_y,max_x,max_y,nose_x,nose_y\n", r"a column called x0 in .*'min_x'"),
        (b"image,nose_x,nose_y,masks\n", r"a column called mask in line 1 .*found 'masks'; write"),
        (
            b"image,nose_x,nose_y,nose_vis\n",
            r"called nose_v \(0 unl.* 2 visible\) in .*found 'nose_vis'; write",
        ),
        (
            b"image,nose_x,nose_y,nose_V\n",
            r"called nose_v \(0 unl.*found 'nose_V'; write",
        ),
        (
            b"image,nose_x,nose_y,nose_Likelihood\n",
            r"called nose_v .*found 'nose_Likelihood'",
        ),
        (b"image,no\xe9_x,no\xe9_y\n", r"text in UTF-8 in line 1 of .*p\.csv, found invalid"),
        ("image,nose_x,nose_y\n".encode("utf-16"), r"text in UTF-8 in line 1 of"),
        (b'image,"nose_x,nose_y\n', r"separated by commas in line 1 of .*, found unexpected end"),
        (
            b"image,nose_x,nose_y\ra.jpg,1,2\r",
            r"separated by commas in line 1 .*new-line character",
        ),
    ],
)
def test_a_bad_header_is_one_sentence(tmp_path: Path, header: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        rows(tmp_path, header)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg,1", r"3 cells in line 3 of .*p\.csv, found 2; fill up the line"),
        ("b.jpg,1,2,3", r"3 cells in line 3 of .*, found 4; .* comma in quotes"),
        ("b.jpg,one,2", r"a number in column 'nose_x' in line 3 of .*, found 'one'; write it with"),
        ('b.jpg,1,"2,5"', r"a number in column 'nose_y' in line 3 of .*, found '2,5'; .*point"),
        ("b.jpg,nan,2", r"a number in column 'nose_x' in line 3 .*found 'nan'; .*empty"),
        ("b.jpg,1,-inf", r"a number in column 'nose_y' in line 3 .*found '-inf'"),
        ("b.jpg,,NaN", r"a number in column 'nose_y' in line 3 .*found 'NaN'"),
        ('b.jpg,"1"2,3', r"separated by commas in line 3 of .*found ',' expected after"),
        ("b.jpg," + 200_000 * "1", r"separated by commas in line 3 of .*larger than field limit"),
        ("b.jpg," + 1_000_000 * ",", r"one person in line 3 of .*more than 1000000 bytes"),
    ],
)
def test_a_bad_line_is_one_sentence(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        rows(tmp_path, f"{HEADER}\na.jpg,1,2\n{line}\nc.jpg,1,2\n")
    assert len(str(caught.value)) < 400


def test_a_table_with_other_joints_than_the_skeleton_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"skeleton's joints in line 1 of .*, found no 'chin'; c"):
        rows(tmp_path, HEADER, ["chin", "nose"])
    with pytest.raises(DataError, match=r"found 'nose'; correct the table"):
        rows(tmp_path, f"{HEADER},chin_x,chin_y", ["chin"])
    with pytest.raises(DataError, match=r"found no 'chin', but 'nose'; correct the table"):
        rows(tmp_path, HEADER, ["chin"])
