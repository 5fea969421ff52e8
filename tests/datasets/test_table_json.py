from pathlib import Path

import pytest

from lightning_pose.datasets.table_json import open_json
from lightning_pose.datasets.table_rows import Row
from lightning_pose.errors import DataError

FIRST = '{"image": "a.jpg", "keypoints": {"nose": [1, 2], "chin": null}, "labels": {"age": 3}}'


def rows(folder: Path, text: str | bytes, skeleton: list[str] | None = None) -> list[Row]:
    path = folder / "p.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(open_json(path, skeleton).rows)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_ends_of_lines_and_a_byte_order_mark_change_nothing(
    tmp_path: Path, start: str, end: str
) -> None:
    second = '{"keypoints": {"chin": [3.5, 4, 1]}, "image": " b.jpg"}'
    one, two = rows(tmp_path, f"{start}{FIRST}{end}{second}{end}")
    assert (one.image, two.image) == ("a.jpg", "b.jpg")
    assert (one.line, two.line) == (1, 1 + end.count("\n"))
    assert str(one.joints) == "[1.0, 2.0, nan, nan, nan, nan]"
    assert str(two.joints) == "[nan, nan, nan, 3.5, 4.0, 1.0]"
    assert (one.labels, two.labels) == ([3], [None])
    assert (two.mask, two.split, str(two.box)) == ("", "", "[nan, nan, nan, nan]")


def test_an_empty_text_is_no_mask_no_split_and_no_class(tmp_path: Path) -> None:
    second = '{"image": "b", "keypoints": {}, "mask": "", "split": " ", "labels": {"age": ""}}'
    _, row = rows(tmp_path, f"{FIRST}\n{second}\n")
    assert (row.mask, row.split, row.labels) == ("", "", [None])


def test_lists_are_in_the_order_of_the_skeleton(tmp_path: Path) -> None:
    named = '{"image": "a", "keypoints": {"nose": [3, 4], "chin": [1, 2]}}\n'
    listed = '{"image": "a", "keypoints": [[1, 2], [3, 4]]}\n'
    one, two = rows(tmp_path, named + listed, ["chin", "nose"])
    assert str(one.joints) == str(two.joints) == "[1.0, 2.0, nan, 3.0, 4.0, nan]"
    assert str(rows(tmp_path, listed, ["chin", "nose"])) == f"[{one._replace(line=1)}]"


def entry(**keys: str) -> str:
    """A line with the keys of the first one, some of which are replaced or added."""
    known = {"image": '"b.jpg"', "keypoints": "{}"}
    pairs = ", ".join(f'"{key}": {value}' for key, value in (known | keys).items())
    return f"{{{pairs}}}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "[1, 2]",
            r"a JSON object in line 2 of .*p\.jsonl, found \[1\.0, 2\.0\]; write one object",
        ),
        (
            "{",
            r"a JSON object in line 2 of .*, found '{' \(Expecting property name .*character 2\)",
        ),
        ("image,nose_x", r"a JSON object in line 2 of .*, found 'image,nose_x' \(Expecting value"),
        ("[" * 100_000, r"a JSON object in line 2 of .*, found too many brackets"),
        (" " * 1_000_001, r"one person in line 2 of .*, found more than 1000000 bytes"),
        (entry(age="3"), r"the keys image, keypoints, .* in line 2 of .*, found 'age'; rename"),
        (entry(keypoints="null"), r"an object or a list 'keypoints' in line 2 of .*, found None"),
        (entry(labels="3"), r"an object 'labels' in line 2 of .*, found 3\.0"),
        (entry(keypoints='{"ear": [1, 2]}'), r"joints of the first line in line 2.*found 'ear'"),
        (entry(labels='{"sex": 1}'), r"labels of the first line in line 2.*found 'sex'"),
        (entry(keypoints="[[1, 2]]"), r"2 joints in line 2 of .*, found 1; write null"),
        (entry(keypoints='{"nose": 7}'), r"\[x, y, v\] or null for 'nose' in line 2.*found 7\.0"),
        (entry(keypoints='{"nose": [1]}'), r"or null for 'nose' in line 2 of .*, found \[1\.0\]"),
        (entry(keypoints='{"nose": [1, "2"]}'), r"null for 'nose' in line 2.*found \[1\.0, '2'\]"),
        (entry(keypoints='{"nose": [1, true]}'), r"null for 'nose' in line 2.*\[1\.0, True\]"),
        (entry(keypoints='{"nose": [1, NaN]}'), r"a JSON object in line 2.*, found NaN, which is"),
        (entry(keypoints='{"nose": [1, -Infinity]}'), r"object in line 2 .*, found -Infinity, whi"),
        (entry(box="[1, 2, 3]"), r"a box \[x0, y0, x1, y1\] or null in line 2.*1\.0, 2\.0, 3\.0\]"),
        (entry(box='"1 2 3 4"'), r"a box .* or null in line 2 of .*, found '1 2 3 4'"),
        (entry(image="3"), r"a text 'image' in line 2 of .*, found 3\.0; correct it"),
        (entry(mask="[]"), r"a text 'mask' in line 2 of .*, found \[\]; correct it"),
        (entry(split="true"), r"a text 'split' in line 2 of .*, found True; correct it"),
        (entry(image=r'"\ud800.jpg"'), r"a text 'image' in line 2 of .*, found '\\ud800\.jpg'"),
        (entry(labels='{"age": true}'), r"a text or null as the label 'age' in line 2.*found True"),
        (entry(labels=r'{"age": "\udc00"}'), r"null as the label 'age' in line 2.*'\\udc00'"),
    ],
)
def test_a_bad_line_is_one_sentence(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        rows(tmp_path, f"{FIRST}\n{line}\n{FIRST}\n")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a person as a JSON object in line 1 of .*p\.jsonl, found an empty file"),
        ("\n \n", r"a person as a JSON object in line 1 of .*, found an empty file"),
        ('{"image": "a"}', r"an object or a list 'keypoints' in line 1 of .*, found None; write"),
        (entry(), r"the names of the joints in line 1 of .*, found none; write .* skeleton"),
        (entry(keypoints="[[1, 2]]"), r"the names of the joints in line 1 of .*, found none"),
        (entry(keypoints=r'{"\ud800": null}'), r"the name of a joint in line 1.*'\\ud800'"),
        (FIRST.replace('"age"', r'"\ud800"'), r"the name of a label in line 1 of .*'\\ud800'"),
    ],
)
def test_a_bad_first_line_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"text in UTF-8 in line 2 of .*, found invalid start byte"):
        rows(tmp_path, FIRST.encode() + b'\n{"image": "\xff.jpg"}\n')


def test_a_table_with_other_joints_than_the_skeleton_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"skeleton's joints in line 1 of .*, found no 'ear', but "):
        rows(tmp_path, FIRST, ["nose", "ear"])
    with pytest.raises(DataError, match=r"2 joints in line 1 of .*, found 1;"):
        rows(tmp_path, entry(keypoints="[[1, 2]]"), ["nose", "ear"])
