"""What no training should see is refused, and the sentence names the person."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lightning_pose.datasets.checks import check_annotation, check_pixels
from lightning_pose.errors import DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import Annotation, Pixels
from lightning_pose.transforms import PersonCrop
from tests.transforms.people import OnePerson, blob_person, cut

ALL_NAN = np.full((14, 2), np.nan, dtype=np.float32)

BAD_ANNOTATIONS: list[tuple[dict[str, Any], str]] = [
    ({"keypoints": np.zeros((16, 2), dtype=np.float32)}, "keypoints of shape (14, 2)"),
    ({"visibility": np.zeros(16, dtype=np.uint8)}, "visibility of shape (14,)"),
    ({"keypoints": ALL_NAN}, "finite keypoints"),
    ({"visibility": np.full(14, 3, dtype=np.uint8)}, "visibility 0, 1 or 2"),
    # A box as x, y, width, height.
    ({"box": np.array([90, 80, 40, 60], dtype=np.float32)}, "found [90.0, 80.0, 40.0, 60.0]"),
    ({"visibility": np.full(14, -1, dtype=np.int8)}, "visibility 0, 1 or 2"),
    ({"box": np.array([0, 0, np.inf, 9], dtype=np.float32)}, "found [0.0, 0.0, inf, 9.0]"),
    ({"box": np.array([0, 0, 9, np.inf], dtype=np.float32)}, "found [0.0, 0.0, 9.0, inf]"),
    ({"box": np.array([-np.inf, 0, 9, 9], dtype=np.float32)}, "found [-inf, 0.0, 9.0, 9.0]"),
    ({"box": np.array([0, -np.inf, 9, 9], dtype=np.float32)}, "found [0.0, -inf, 9.0, 9.0]"),
    ({"box": np.array([0, np.nan, 9, 9], dtype=np.float32)}, "found [0.0, nan, 9.0, 9.0]"),
    ({"labels": {"sport": 1}}, "the labels []"),
]

WHITE = np.full((20, 30, 3), 255, dtype=np.uint8)

BAD_PIXELS: list[tuple[dict[str, Any], str]] = [
    ({"image": WHITE / 255}, "found float64 of shape (20, 30, 3)"),
    ({"image": WHITE // 255}, "values from 0 to 255"),
    ({"image": WHITE[..., 0]}, "found uint8 of shape (20, 30)"),
    ({"image": WHITE, "mask": WHITE[..., 0]}, "found uint8 of shape (20, 30)"),
    ({"image": WHITE, "mask": WHITE[..., :1].view(np.int8)}, "found int8 of shape (20, 30, 1)"),
    ({"image": WHITE, "mask": np.full((20, 30), 100, dtype=np.int8)}, "found 100 to 100"),
]


def unchecked(kind: type, **values: Any) -> Any:
    """A record as a dataset of the user's may make it, which no type annotation checks."""
    record = object.__new__(kind)
    vars(record).update({"mask": None} | values)
    return record


def plain() -> Annotation:
    return OnePerson(blob_person(7)).annotation(0)


@pytest.mark.parametrize(("change", "message"), BAD_ANNOTATIONS, ids=lambda value: str(value)[:40])
def test_a_bad_annotation_is_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        check_annotation(
            unchecked(Annotation, **{**vars(plain()), **change}), OnePerson(blob_person(7))
        )
    assert message in str(error.value)
    assert "for person 7 in '7.png'" in str(error.value)


@pytest.mark.parametrize(("values", "message"), BAD_PIXELS, ids=lambda value: str(value)[:40])
def test_bad_pixels_are_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        check_pixels(unchecked(Pixels, **values), plain())
    assert message in str(error.value)
    assert "for person 7 in '7.png'" in str(error.value)


def test_good_people_pass() -> None:
    people = OnePerson(blob_person(7))
    check_annotation(people.annotation(0), people)
    check_pixels(people.read(0), people.annotation(0))
    # A single joint, joints on a line, a black image, one that is dark but for one row, and a mask
    # with all of its values.
    check_annotation(replace(plain(), box=np.full(4, 30, dtype=np.float32)), people)
    check_pixels(Pixels(np.zeros((4, 4, 3), dtype=np.uint8)), plain())
    flat = replace(plain(), box=np.array([3, 8, 50, 8], dtype=np.float32))
    check_annotation(flat, people)
    dark = np.zeros((40, 30, 3), dtype=np.uint8)
    dark[5] = 2
    mask = np.eye(40, dtype=np.int8) - np.eye(40, k=1, dtype=np.int8)
    check_pixels(Pixels(dark, mask=mask), flat)


def test_a_crop_checks_what_it_reads() -> None:
    crop = PersonCrop(InputSpec((32, 32)))
    with pytest.raises(DataError, match="values from 0 to 255"):
        cut(crop, replace(blob_person(7), image=np.ones((150, 200, 3), dtype=np.uint8)))
    with pytest.raises(DataError, match="with x0 < x1"):
        cut(crop, replace(blob_person(7), box=np.array([9, 9, 3, 20], dtype=np.float32)))
