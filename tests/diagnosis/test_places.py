from dataclasses import replace

import numpy as np
import pytest

from lightning_pose.diagnosis.people import People
from lightning_pose.diagnosis.places import check_places, count_from
from tests.diagnosis.drawn import Samples, drawn, measured, move, table


def titles(people: People) -> dict[str, str]:
    return {finding.title: finding.severity for finding in check_places(people)}


def cut_off(samples: Samples, first: int) -> Samples:
    """People at the borders, whose coordinates an annotation tool keeps in the image."""
    rng = np.random.default_rng(0)
    return move(
        samples,
        lambda points, s: (
            np.clip(
                np.rint(points + rng.uniform(-60, 60, 2)), 0, np.array(s.image.shape[1::-1]) - 1
            )
            + first
        ),
    )


@pytest.mark.parametrize("first", [-1, 0, 1])
def test_people_who_are_cut_off_tell_the_first_pixel(first: int):
    assert count_from(table(cut_off(drawn(), first)))[0] == first


def test_nothing_tells_the_first_pixel_inside_images():
    assert count_from(table(drawn()))[0] is None


def test_placeholders_do_not_tell_the_first_pixel():
    samples = drawn()
    for sample in samples:
        sample.keypoints[0] = -1
    assert count_from(table(samples))[0] is None


@pytest.mark.parametrize(
    ("box", "title"),
    [
        ((-40, 10, -0.5, 90), "Boxes outside the image"),
        ((159.5, 10, 200, 90), "Boxes outside the image"),
        ((10, -40, 90, -2), "Boxes outside the image"),
        ((10, 170, 90, 240), "Boxes outside the image"),
        ((-40, -40, 0, 0), None),
        ((159, 159, 200, 240), None),
    ],
)
def test_a_box_that_shows_nothing_of_the_image_is_reported(box: tuple, title: str | None):
    people = table(drawn())
    people.table.box[7] = box
    every = check_places(people)
    found = [finding for finding in every if finding.title == "Boxes outside the image"]
    assert [finding.suspects for finding in found] == ([] if title is None else [(7,)])
    if title is not None:
        assert found[0].severity == "suspicious"
        people.table.box[:20] = box
        assert titles(people)[title] == "wrong"


def test_a_joint_outside_is_reported_with_the_person():
    samples = drawn()
    samples[5].keypoints[3] = 160.4, 80  # One pixel beyond the last is no joint outside.
    samples[9].keypoints[3] = 80, -7.5
    samples[4].keypoints[0], samples[4].visibility[0] = (-900, -900), 0
    (found,) = check_places(table([measured(s) for s in samples]))
    assert (found.severity, found.suspects) == ("suspicious", (9,))
    assert found.sentence.startswith("1 labelled joints")
    assert "by 7 pixels" in found.sentence


def wide(samples: Samples) -> Samples:
    """The same people in images of 320 x 160 pixels, some on the left and some on the right."""
    images = np.zeros((160, 320, 3), np.uint8), np.zeros((160, 320), np.int8)
    return [
        measured(
            replace(
                s,
                image=images[0],
                mask=images[1],
                keypoints=s.keypoints + np.float32([160 * (n % 2), 0]),
            )
        )
        for n, s in enumerate(samples)
    ]


def test_exchanged_coordinates_leave_images_that_are_not_square():
    samples = wide(drawn())
    assert titles(table(samples)) == {}
    exchanged = move(samples, lambda points, _: points[:, ::-1])
    found = titles(table(exchanged))
    assert found["Order of x and y"] == found["Joints outside the image"] == "wrong"


def test_upside_down_people_are_suspicious():
    samples = move(drawn(), lambda points, s: np.float32([0, 159]) + points * np.float32([1, -1]))
    assert titles(table(samples)) == {"Upright people": "suspicious"}


def test_people_on_one_side_are_suspicious_but_no_other_scale():
    assert titles(table(wide(drawn())[::2])) == {"Scale of the coordinates": "suspicious"}


def test_few_people_and_unknown_sizes_say_nothing():
    half = move(drawn(), lambda points, _: points / 2)
    assert titles(table(half[:29])) == {}
    people = table(drawn())
    unknown = replace(people, sizes=np.zeros_like(people.sizes))
    assert titles(unknown) == {}
    assert count_from(unknown)[0] is None
