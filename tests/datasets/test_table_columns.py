"""What both kinds of table have in common: the numbers and names in a row, through each of them."""

import json
from pathlib import Path

import pytest

from lightning_pose.datasets.table_columns import People, read_people
from lightning_pose.datasets.table_csv import open_csv
from lightning_pose.datasets.table_json import open_json
from lightning_pose.errors import DataError
from lightning_pose.skeletons import Skeleton

BOX = ("x0", "y0", "x1", "y1")


def read(folder: Path, kind: str, people: list[dict]) -> People:
    """Write people with the same keys as CSV or JSON lines and read them."""
    path = folder / f"p.{kind}"
    if kind == "jsonl":
        path.write_text("".join(f"{json.dumps(person)}\n" for person in people))
        table = open_json(path, None)
    else:
        header = ["image", "mask", "split", *BOX, "nose_x", "nose_y", "nose_v", "label"]
        lines = [",".join(header)]
        for person in people:
            point = [*(person["keypoints"]["nose"] or []), "", "", ""][:3]
            box = person.get("box") or [""] * 4
            texts = [person.get(key) or "" for key in ("image", "mask", "split")]
            label = person.get("labels", {}).get("label")
            cells = [*texts, *box, *point, "" if label is None else label]
            lines.append(",".join(map(str, cells)))
        path.write_text("\n".join(lines))
        table = open_csv(path, None)
    return read_people(path, table, Skeleton.from_names(["nose"]))


def person(point: list[float] | None = None, label: object = None, **keys: object) -> dict:
    return {"image": "a.jpg", "keypoints": {"nose": point}, "labels": {"label": label}, **keys}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"point": [1, 2, 3]}, r"v of 0, 1 or 2 for 'nose' in line N .*, found 1, 2, 3; leave"),
        ({}, {"point": [1, 2, 0.5]}, r"v of 0, 1 or 2 for 'nose' in line N .*, found 1, 2, 0\.5;"),
        ({}, {"point": [1, 1e7]}, r"at most 1000000 for 'nose' in line N .*found 1, 1e\+07, noth"),
        ({}, {"point": [0, 0]}, r"another place than \(0, 0\) for 'nose' in line N .*, found 0, 0"),
        ({}, {"box": [9, 2, 3, 4]}, r"no box x0, y0, x1, y1, as for the first person, in line N"),
        ({"box": [0, 0, 9, 9]}, {}, r"a box x0, y0, x1, y1, as for the first person, in line N .*"),
        (
            {"box": [0, 0, 9, 9]},
            {"box": [50, 40, 30, 90]},
            r"x0 < x1 and y0 < y1 in line N .*found 50, 40, 30, 90; .*not its width and height",
        ),
        ({"box": [0, 0, 9, 9]}, {"box": [1, 2, 1, 9]}, r"x0 < x1 and y0 < y1 in line N "),
        ({"box": [0, 0, 9, 9]}, {"box": [1, 2, 3, 2e6]}, r"x0 < x1.* in line N .*3, 2e\+06"),
        (
            {},
            {"image": "", "point": [1, 2]},
            r"a file as the image in line N of .*, found none; correct its name",
        ),
        ({}, {"image": "a" * 1001}, r"a file as the image in line N of .*, found 'aaaa.*\.\.\."),
        (
            {},
            {"image": "a\0.jpg"},
            r"a file as the image in line N of .*, found 'a\\x00.jpg'; correct",
        ),
        ({}, {"mask": "a" * 1001}, r"a file as the mask in line N of .*, found 'aaaa.*\.\.\."),
        ({"split": "val"}, {"split": "dev"}, r"train, val or test in line N of .*, found 'dev';"),
        ({"split": "val"}, {}, r"train, val or test in line N of .*, found none; name the split"),
        ({}, {"split": "val"}, r"no split, as for the first person, in line N of .*, found 'val'"),
        ({"label": 3}, {"label": "x"}, r"a number as the label 'label' in line N of .*found 'x'"),
        ({"label": "x"}, {"label": 3}, r"no number as the label 'label' in line N of .*found 3\.0"),
        ({"label": 3}, {"label": 1e39}, r"finite number as the label 'label' in line N .*1e\+39;"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_with_its_line(
    tmp_path: Path, kind: str, first: dict, second: dict, message: str
) -> None:
    message = message.replace("line N", "line 3" if kind == "csv" else "line 2")
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, kind, [person(**first), person(**second), person(**first)])
    assert f"p.{kind}" in str(caught.value)
    assert len(read(tmp_path, kind, [person(**first)] * 3).annotations) == 3


@pytest.mark.parametrize(
    ("cells", "expected", "found"),
    [
        ("5,,", "x and y", "5, nothing, nothing"),
        (",5,2", "x and y", "nothing, 5, 2"),
        (",,1", "x and y beside v", "nothing, nothing, 1"),
    ],
)
def test_half_a_joint_is_refused(tmp_path: Path, cells: str, expected: str, found: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"image,nose_x,nose_y,nose_v\na.jpg,,,0\na.jpg,{cells}\n")
    with pytest.raises(DataError, match=f"{expected} for 'nose' in line 3 of .*, found {found};"):
        read_people(path, open_csv(path, None), Skeleton.from_names(["nose"]))


def test_half_a_box_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("image,nose_x,nose_y,x0,y0,x1,y1\na.jpg,1,2,0,0,9,9\na.jpg,1,2,0,0,9,\n")
    with pytest.raises(DataError, match=r"a box x0, .* in line 3 .*, found 0, 0, 9, nothing;"):
        read_people(path, open_csv(path, None), Skeleton.from_names(["nose"]))


def test_a_header_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"at least one person in .*p\.csv, found none"):
        read(tmp_path, "csv", [])


def test_the_places_of_unlabelled_joints_are_not_kept(tmp_path: Path) -> None:
    found = read(tmp_path, "csv", [person([-512, 7, 0]), person([0, 0, 0]), person([0, 7])])
    assert found.annotations.keypoints[:, 0].tolist() == [[0, 0], [0, 0], [0, 7]]
    assert found.annotations.visibility[:, 0].tolist() == [0, 0, 2]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_classes_are_in_alphabetical_order_whatever_comes_first(tmp_path: Path, kind: str) -> None:
    names = ["polo", None, "golf", "polo", "judo"]
    found = read(tmp_path, kind, [person(label=name) for name in names])
    assert found.classes == {"label": ["golf", "judo", "polo"]}
    assert found.annotations.labels["label"].tolist() == [2, -1, 0, 2, 1]
    nothing = read(tmp_path, kind, [person(), person()])
    assert nothing.classes == {"label": []}
    assert str(nothing.annotations.labels["label"].tolist()) == "[nan, nan]"


def test_more_classes_than_a_label_has_are_refused(tmp_path: Path) -> None:
    people = [person(label=f"note {number % 1000}") for number in range(2000)]
    assert len(read(tmp_path, "csv", people).classes["label"]) == 1000
    message = r"at most 1000 classes as the label 'label' in line 2002 of .*, found 'new'; remove"
    with pytest.raises(DataError, match=message):
        read(tmp_path, "csv", [*people, person(label="new")])
