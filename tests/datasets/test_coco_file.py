import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_pose.datasets.coco_file import COCOPeople, read_people
from lightning_pose.errors import ConfigError, DataError
from tests.data.coco import NAMES, write_coco

Content = dict[str, Any]


def read(tmp_path: Path, content: Any, **settings: Any) -> COCOPeople:
    path = tmp_path / "people.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_people(path, **{"category": "person", "min_joints": 1, **settings})


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """Six people, a person without joints and a crowd, with the ids 1 to 8."""
    return write_coco(tmp_path / "coco", first_id=1)


def test_the_numbers_are_those_of_the_file(tmp_path: Path, content: Content) -> None:
    people = read(tmp_path, content)
    rows = content["annotations"][:6]
    assert people.joints == tuple(NAMES)
    assert people.limbs == ((16, 14), (14, 12))
    assert people.ids.tolist() == [row["id"] for row in rows]
    assert people.keypoints.reshape(6, -1).tolist() == [row["keypoints"] for row in rows]
    assert people.boxes.tolist() == [row["bbox"] for row in rows]
    assert people.areas.tolist() == [row["area"] for row in rows]
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert [name.decode() for name in people.image_names.tolist()] == [
        names[row["image_id"]] for row in rows
    ]


def test_nothing_but_arrays_is_kept(tmp_path: Path, content: Content) -> None:
    people = read(tmp_path, content)
    for value in [*vars(people).values(), *vars(people.masks).values()]:
        assert not isinstance(value, list | dict | set)
        # Tuples are those of the category.
        assert not isinstance(value, np.ndarray) or value.dtype != object


def test_images_are_found_by_their_id_in_any_order(tmp_path: Path, content: Content) -> None:
    before = read(tmp_path, content)
    content["images"].reverse()
    content["images"][0]["id"] = 2**62
    for row in content["annotations"][4:]:
        row["image_id"] = 2**62
    after = read(tmp_path, content)
    assert after.image_names.tolist() == before.image_names.tolist()


def test_crowds_and_people_without_joints_are_left_out(tmp_path: Path, content: Content) -> None:
    rows = content["annotations"]
    rows[1]["keypoints"] = [9, 9, 0] * 15 + [1, 1, 1, 2, 2, 2]
    assert read(tmp_path, content).ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert read(tmp_path, content, min_joints=0).ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert read(tmp_path, content, min_joints=2).ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert read(tmp_path, content, min_joints=3).ids.tolist() == [1, 3, 4, 5, 6]
    # The second form of run lengths is that of crowds, which here are never read.
    rows[7]["segmentation"] = {"size": [1, 1], "counts": "damaged"}
    read(tmp_path, content, min_joints=0)


def test_columns_are_those_of_the_people_that_are_left(tmp_path: Path, content: Content) -> None:
    content["annotations"][0]["keypoints"] = [0] * 51
    for number, image in enumerate(content["images"]):
        image.update(height=100 + number, width=200 + number)
    for number, row in enumerate(content["annotations"]):
        row.update(area=number, bbox=[number, 1, 2, 3], segmentation=[])
    people = read(tmp_path, content)
    names = [image["file_name"].encode() for image in content["images"]]
    assert people.image_names.tolist() == [names[place] for place in (0, 1, 1, 2, 2)]
    assert people.image_sizes.tolist() == [[100 + place, 200 + place] for place in (0, 1, 1, 2, 2)]
    assert people.areas.tolist() == people.boxes[:, 0].tolist() == [1, 2, 3, 4, 5]
    rows = content["annotations"][1:6]
    assert people.keypoints.reshape(5, -1).tolist() == [row["keypoints"] for row in rows]


def test_masks_are_those_of_the_people_that_are_left(tmp_path: Path, content: Content) -> None:
    content["annotations"][0]["keypoints"] = [0] * 51
    del content["annotations"][2]["segmentation"]
    people = read(tmp_path, content)
    assert people.ids.tolist() == [2, 3, 4, 5, 6]
    assert len(people.masks) == 5
    for place, row in enumerate(content["annotations"][1:6]):
        mask = people.masks.read(place, tuple(people.image_sizes[place].tolist()))
        if row["id"] == 3:
            assert mask is None
        else:
            left = row["bbox"][0]
            assert (mask.sum(), mask[10:50, left : left + 20].sum()) == (800, 800)


def test_what_tools_leave_out_is_not_needed(tmp_path: Path, content: Content) -> None:
    """A byte order mark, and no area, flag of crowds, limbs or segmentation."""
    for row in content["annotations"]:
        row.pop("area")
        row.pop("segmentation")
        row.pop("iscrowd")
    content["categories"][0].pop("skeleton")
    people = read(tmp_path, "\ufeff" + json.dumps(content))
    assert people.areas.tolist() == [0] * 6
    assert people.limbs == ()


def test_a_category_has_its_own_joints(tmp_path: Path, content: Content) -> None:
    horse = {"id": 7, "name": "horse", "keypoints": ["Left  Ear", "right-ear ", "Muzzle"]}
    content["categories"].append(horse)
    # Other categories need not have joints at all.
    content["categories"].append({"id": 8, "name": "chair"})
    row = content["annotations"][0]
    content["annotations"].append({**row, "id": 50, "category_id": 7, "keypoints": [1, 2, 2] * 3})
    content["annotations"].append({**row, "id": 51, "category_id": 8, "keypoints": None})
    people = read(tmp_path, content, category="horse")
    assert people.joints == ("left_ear", "right_ear", "muzzle")
    assert people.ids.tolist() == [50]
    assert read(tmp_path, content).ids.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("category", ["horse", "Person"])
def test_a_category_that_is_not_there_is_refused(tmp_path, content, category) -> None:
    with pytest.raises(ConfigError, match=f"'{category}' in .*people.json, found .'person'."):
        read(tmp_path, content, category=category)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.json, found no such file"):
        read_people(tmp_path / "other.json", "person", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("{'images': []}", "cannot be read"),
        ('{"images": [1, 2', "cannot be read"),
        ("[" * 10**6, "cannot be read .*recursion"),
        ('{"images": ' + "[" * 10**6, "cannot be read .*recursion"),
        ("9" * 5000, "cannot be read"),
        ("[]", "found no list 'images'"),
        ("7", "found no list 'images'"),
        ('{"images": {}}', "found no list 'images'"),
        ('{"images": [], "annotations": []}', "found no list 'categories'"),
        ('{"images": [3], "annotations": [], "categories": []}', "'id' at index 0, in 3;"),
    ],
)
def test_what_is_no_file_of_coco_is_one_sentence(tmp_path, text, message) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "people.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "people.json").write_bytes(b"\x89HDF\r\n\xff")
    with pytest.raises(DataError, match=r"people\.json, found that it cannot be read"):
        read_people(tmp_path / "people.json", "person", 1)


def spoil(where: str, place: int, key: str, value: Any) -> Callable[[Content], None]:
    """Set a value in an entry of the file; None removes the key."""

    def change(content: Content) -> None:
        if value is None:
            del content[where][place][key]
        else:
            content[where][place][key] = value

    return change


def spoil_everyone(content: Content) -> None:
    for row in content["annotations"]:
        row["category_id"] = 2


def spoil_images(content: Content) -> None:
    content["images"] = []


def spoil_categories(content: Content) -> None:
    content["categories"].append({**content["categories"][0], "name": "other"})


PERSON, SECOND, IMAGE = "annotation 1 of", "annotation 2 of", "image 501 of"
NAN, INF = float("nan"), float("inf")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            spoil("annotations", 1, "image_id", None),
            "'annotations' .*'image_id' at index 1",
        ),
        (spoil("annotations", 1, "bbox", None), "'bbox' at index 1"),
        (spoil("images", 1, "file_name", None), "'images' .*'file_name' at index 1"),
        (spoil("images", 1, "height", None), "'height' at index 1"),
        (spoil("categories", 0, "name", None), "'categories' .*'name' at index 0"),
        (spoil("categories", 0, "id", "one"), "whole number.*'id' in category 'one' of .*'one'"),
        (spoil("categories", 0, "keypoints", None), "joints in 'keypoints' of the c.*found None"),
        (spoil("categories", 0, "keypoints", []), r"joints in 'keypoints'.*found \[\]"),
        (spoil("categories", 0, "keypoints", [7]), r"joints in 'keypoints'.*found \[7\]"),
        (spoil("categories", 0, "keypoints", ["a", " "]), "joints in 'keypoints'.*found"),
        (spoil("categories", 0, "keypoints", ["a", "A"]), "its own name, found .'a', 'A'."),
        (spoil("categories", 0, "skeleton", {}), r"joints from 1 to 17 in 'skeleton'.*found \{\}"),
        (spoil("categories", 0, "skeleton", [[0, 1]]), r"from 1 to 17.*found \[\[0, 1\]\]"),
        (spoil("categories", 0, "skeleton", [[1, 18]]), r"from 1 to 17.*found \[\[1, 18\]\]"),
        (spoil("categories", 0, "skeleton", [[1, 2, 3]]), "from 1 to 17"),
        (spoil("categories", 0, "skeleton", [["nose", 1]]), "from 1 to 17"),
        (spoil_categories, "'id' that no other entry has in category 1 of"),
        (spoil_everyone, "'person' in .* 1 or more labelled joints, found none among 0"),
        (spoil_images, f"'id' of an image in 'image_id' in {PERSON}.*found 501"),
        (spoil("annotations", 0, "id", 2), f"'id' that no other entry has in {SECOND}.*found 2"),
        (spoil("annotations", 0, "id", -4), "'id' of 0 or more in annotation -4 .*found -4"),
        (spoil("annotations", 0, "id", 1.5), "whole number of 64 bits in 'id' in annotation 1.5"),
        (
            spoil("annotations", 0, "id", 2**63),
            "whole number of 64 bits in 'id' in annotation 9223",
        ),
        (spoil("annotations", 0, "id", nested(900)), r"in 'id' in annotation \[\[.*found \[\["),
        (spoil("annotations", 0, "image_id", 3), f"'image_id' in {PERSON}.*found 3"),
        (spoil("annotations", 0, "image_id", "a"), f"'image_id' in {PERSON}.*found 'a'"),
        (spoil("annotations", 0, "bbox", [1, 2, 3]), f"4 numbers in 'bbox' in {PERSON}.*3 of them"),
        (spoil("annotations", 0, "bbox", [1, 2, 3, "4"]), f"4 numbers in 'bbox' in {PERSON}"),
        (spoil("annotations", 0, "bbox", "1234"), f"4 numbers in 'bbox' in {PERSON}"),
        (spoil("annotations", 0, "bbox", [1, 2, -3, 4]), f"0 or more in 'bbox' in {PERSON}.*-3"),
        (spoil("annotations", 0, "bbox", [1, 2, 3, -4]), f"0 or more in 'bbox' in {PERSON}.*-4"),
        (spoil("annotations", 0, "bbox", [1, NAN, 3, 4]), f"finite.*'bbox' in {PERSON}.*nan"),
        (spoil("annotations", 0, "bbox", [1, 2, 3, 1e39]), f"finite.*'bbox' in {PERSON}.*1e.39"),
        (spoil("annotations", 0, "bbox", [1, 2, 3, 10**400]), f"4 numbers in 'bbox' in {PERSON}"),
        (spoil("annotations", 0, "area", -1), f"'area' of 0 or more in {PERSON}.*found -1"),
        (spoil("annotations", 0, "area", NAN), f"finite numbers in 'area' in {PERSON}.*nan"),
        (spoil("annotations", 0, "area", "big"), f"a number in 'area' in {PERSON}.*found 'big'"),
        (spoil("annotations", 0, "keypoints", [1] * 50), f"51 .*'keypoints' in {PERSON}.*50 of th"),
        (spoil("annotations", 0, "keypoints", 51), f"51 .*'keypoints' in {PERSON}.*found 51"),
        (spoil("annotations", 0, "keypoints", [[1, 2, 2]] * 17), f"51 .* in {PERSON}.*17 of them"),
        (spoil("annotations", 0, "keypoints", [NAN] * 51), f"finite.*'keypoints' in {PERSON}.*nan"),
        (spoil("annotations", 0, "keypoints", [INF] * 51), f"finite.*'keypoints' in {PERSON}.*inf"),
        (spoil("annotations", 0, "keypoints", [1, 1, 3] * 17), f"flags 0, 1 and 2.* in {PERSON}"),
        (spoil("annotations", 0, "keypoints", [1, 1, 0.5] * 17), f"flags 0, 1 and 2.* in {PERSON}"),
        (
            spoil("annotations", 0, "segmentation", [[1, 2, 3]]),
            f"50 x 60 .* in {PERSON}.*a polygon",
        ),
        (
            spoil("annotations", 1, "segmentation", {"size": [50, 60], "counts": [3000]}),
            rf"50 x 60 pixels in 'segmentation' in {SECOND}.*for the size \[50, 60\]",
        ),
        (spoil("images", 0, "id", 502), "'id' that no other entry has in image 502"),
        (
            spoil("images", 0, "height", 0),
            rf"height and width of 1 to .* in {IMAGE}.*found \[0, 50\]",
        ),
        (spoil("images", 0, "width", 2**62), f"height and width of 1 to .* in {IMAGE}"),
        (spoil("images", 0, "width", 50.5), f"whole number of 64 bits in 'width' in {IMAGE}.*50.5"),
        (spoil("images", 0, "file_name", 7), f"'file_name' in {IMAGE}.*found 7"),
        (spoil("images", 0, "file_name", ""), f"'file_name' in {IMAGE}.*found ''"),
        (spoil("images", 0, "file_name", "../x.jpg"), rf"'file_name' in {IMAGE}.*'\.\./x\.jpg'"),
        (spoil("images", 0, "file_name", "a/../../x.jpg"), f"below its folder.* in {IMAGE}"),
        (spoil("images", 0, "file_name", "/etc/x.jpg"), f"below its folder.* in {IMAGE}"),
        (spoil("images", 0, "file_name", "C:\\x.jpg"), f"below its folder.* in {IMAGE}"),
        (spoil("images", 0, "file_name", "..\\x.jpg"), f"below its folder.* in {IMAGE}"),
        (
            spoil("images", 0, "file_name", "a\n.jpg"),
            rf"below its folder.* in {IMAGE}.*'a\\n\.jpg'",
        ),
        (spoil("images", 0, "file_name", "a\0.jpg"), f"below its folder.* in {IMAGE}"),
        (spoil("images", 0, "file_name", "\ud800.jpg"), f"below its folder.* in {IMAGE}"),
    ],
)
def test_bad_entries_are_one_sentence_with_their_id(tmp_path, content, spoil, message) -> None:
    spoil(content)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert "people.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "spoil",
    [
        spoil("annotations", 1, "segmentation", nested(900)),
        spoil("annotations", 1, "segmentation", {"size": nested(900), "counts": nested(900)}),
        spoil("annotations", 1, "bbox", nested(900)),
        spoil("images", 1, "file_name", nested(900)),
        spoil("categories", 0, "name", nested(900)),
        spoil("categories", 0, "keypoints", nested(900)),
        spoil("categories", 0, "skeleton", nested(900)),
        spoil("categories", 0, "skeleton", [[1, 2**80]]),
    ],
)
def test_values_that_are_nested_deeply_are_refused_in_short(tmp_path, content, spoil) -> None:
    spoil(content)
    with pytest.raises((ConfigError, DataError)) as caught:
        read(tmp_path, content)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("key", ["category_id", "iscrowd"])
@pytest.mark.parametrize("value", ["0", "1", [], nested(900)])
def test_a_text_does_not_decide_who_is_left_out(tmp_path, content, key, value) -> None:
    content["annotations"][1][key] = value
    message = f"a number in '{key}' in annotation 2 of .*people.json, found .*; correct the file"
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("nothing", [None, 0, 0.0, False])
def test_no_crowd_may_be_written_in_many_ways(tmp_path, content, nothing) -> None:
    content["annotations"][0]["iscrowd"] = nothing
    assert read(tmp_path, content).ids.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("nothing", ["no key", None, []])
def test_a_person_who_has_only_a_mask_needs_no_joints(
    tmp_path: Path, content: Content, nothing: object
) -> None:
    content["annotations"][1]["keypoints"] = nothing
    if nothing == "no key":
        del content["annotations"][1]["keypoints"]
    assert 2 not in read(tmp_path, content, min_joints=1).ids
    people = read(tmp_path, content, min_joints=0)
    assert people.ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert not people.keypoints[1].any()
    assert people.masks.read(1, tuple(people.image_sizes[1].tolist())).sum() == 800


@pytest.mark.parametrize("name", ["a/b.jpg", "a b.jpg", "ä.jpg", "..jpg", "a..b.jpg", "./a.jpg"])
def test_names_below_the_folder_are_kept(tmp_path: Path, content: Content, name: str) -> None:
    content["images"][0]["file_name"] = name
    assert read(tmp_path, content).image_names[0].decode() == name
