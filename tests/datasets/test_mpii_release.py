from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from lightning_pose.datasets.mpii_release import ACTIVITIES, read_release
from lightning_pose.errors import DataError
from tests.data.mpii import EMPTY, RELEASE, annotated, point, structs, write_release

POINTS = [point(k, 10.0 + k, 20.0 + k) for k in range(16)]


def release(
    root: Path, *people: dict[str, Any], image: str = "000000001.jpg", what: str = ""
) -> Path:
    """A file whose second image has these people."""
    write_release(root, [("000000009.jpg", [annotated(POINTS)], "sports"), (image, people, what)])
    return root / RELEASE


def test_points_are_placed_by_their_numbers(tmp_path: Path) -> None:
    person = read_release(release(tmp_path, annotated(POINTS[::-3])))[1]
    chosen = list(range(0, 16, 3))
    assert person.keypoints[chosen].tolist() == [[9.0 + k, 19.0 + k] for k in chosen]
    assert person.visibility.tolist() == [2 if k in chosen else 0 for k in range(16)]
    assert not np.delete(person.keypoints, chosen, axis=0).any()
    assert (person.image, person.scale, person.head_size) == ("000000001.jpg", 0.3, 30)
    assert person.centre.tolist() == [59, 44]


@pytest.mark.parametrize(
    ("flag", "visibility"),
    [
        ("0", 1), (np.uint8(0), 1), (0.0, 1), (False, 1),
        ("1", 2), (np.int16(1), 2), (1.0, 2), (True, 2),
        ("", 2), (EMPTY, 2),
    ],
)  # fmt: skip
def test_occlusion_is_text_a_number_or_not_known(
    tmp_path: Path, flag: Any, visibility: int
) -> None:
    person = annotated([point(4, 5.0, 6.0, is_visible=flag)])
    assert read_release(release(tmp_path, person))[1].visibility[4] == visibility


def test_without_the_field_occlusion_is_not_known(tmp_path: Path) -> None:
    person = annotated([point(4, 5.0, 6.0)])
    assert read_release(release(tmp_path, person))[1].visibility[4] == 2


@pytest.mark.parametrize("name", ["annopoints", "objpos", "scale"])
def test_people_without_joints_position_or_scale_are_left_out(tmp_path: Path, name: str) -> None:
    absent = annotated(POINTS, **{name: EMPTY})
    kept = annotated(POINTS, scale=0.5)
    people = read_release(release(tmp_path, absent, kept, absent))
    assert [person.scale for person in people] == [0.3, 0.5]
    # As in images of which no person has the field.
    del absent[name]
    assert len(read_release(release(tmp_path, absent, absent))) == 1


def test_images_without_people_are_left_out(tmp_path: Path) -> None:
    assert len(read_release(release(tmp_path))) == 1
    nobody = annotated(POINTS, annopoints=structs([{"point": EMPTY}]))
    assert len(read_release(release(tmp_path, nobody))) == 1


def test_a_head_box_that_lacks_an_edge_is_unknown(tmp_path: Path) -> None:
    for edge in ("x1", "y1", "x2", "y2"):
        person = annotated(POINTS, **{edge: EMPTY})
        assert read_release(release(tmp_path, person))[1].head_size == 0


def test_the_image_has_one_of_the_categories_or_none(tmp_path: Path) -> None:
    assert list(ACTIVITIES) == sorted(ACTIVITIES)
    assert len(set(ACTIVITIES)) == 20
    for name in (*ACTIVITIES, ""):
        path = release(tmp_path, annotated(POINTS), what=name)
        assert [person.activity for person in read_release(path)] == ["sports", name]


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ({"annopoints": structs([{"point": np.eye(3)}])}, "found point that is not"),
        ({"annopoints": "abc"}, "found annopoints that is not"),
        ({"objpos": 3.0}, "found objpos that is not"),
        ({"objpos": structs([{"x": 1.0, "y": EMPTY}])}, "found objpos without x and y"),
        ({"scale": 0.0}, r"found the scale 0\.0"),
        ({"scale": "abc"}, "found scale that is not a finite number"),
        ({"scale": np.array([1.0, 2.0])}, "found scale that is not a finite number"),
        ({"scale": np.nan}, "found scale that is not a finite number"),
        ({"scale": 1j}, "found scale that is not a finite number"),
        ({"x1": np.inf}, "found x1 that is not a finite number"),
    ],
)
def test_a_damaged_person_is_refused(tmp_path: Path, person: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"{RELEASE}, {message}.* in annolist\(2\)") as caught:
        read_release(release(tmp_path, annotated(POINTS, **person)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 16}, r"id 16\.0"),
        ({"id": -1}, r"id -1\.0"),
        ({"id": 2.5}, r"id 2\.5"),
        ({"id": EMPTY}, "id None"),
        ({"is_visible": 2}, r"is_visible 2\.0"),
        ({"is_visible": "no"}, "is_visible that is not"),
        ({"x": EMPTY}, "point without x and y"),
        ({"y": EMPTY}, "point without x and y"),
        ({"x": np.nan}, "x that is not a finite number"),
        ({"y": 1e9}, "y that is not a finite number"),
    ],
)
def test_a_damaged_point_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    person = annotated([{**point(3, 1.0, 2.0), **change}])
    with pytest.raises(DataError, match=rf"found .*{message}.* in annolist\(2\)"):
        read_release(release(tmp_path, person))


def test_a_damaged_image_is_refused(tmp_path: Path) -> None:
    for name in ("abc.jpg", "../000000001.jpg", ""):
        with pytest.raises(DataError, match=r"nine digits.*annolist\(2\)"):
            read_release(release(tmp_path, annotated(POINTS), image=name))
    with pytest.raises(DataError, match=r"unknown activity 'chess' in annolist\(2\)"):
        read_release(release(tmp_path, annotated(POINTS), what="chess"))
    with pytest.raises(DataError, match=r"name that is not a text in annolist\(2\)"):
        read_release(release(tmp_path, annotated(POINTS), image=3.0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1.0}, "RELEASE that is not 1 struct in"),
        ({"RELEASE": 1.0}, "RELEASE that is not 1 struct in"),
        ({"RELEASE": structs([{"act": EMPTY}])}, "none"),
        (
            {"RELEASE": structs([{"annolist": np.eye(2)}])},
            "annolist that is not an array of structs in",
        ),
        (
            {"RELEASE": structs([{"annolist": structs([{"image": EMPTY}]), "act": EMPTY}])},
            "act that is not 1 struct in",
        ),
    ],
)
def test_another_matlab_file_is_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    scipy.io.savemat(tmp_path / RELEASE, content)
    with pytest.raises(DataError, match=rf"{RELEASE}, found {message}"):
        read_release(tmp_path / RELEASE)
