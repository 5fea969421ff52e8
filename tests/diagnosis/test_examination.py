"""The doctor finds each planted fault, and nothing in the same people without it."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lightning_pose.datamodules import MixedDataModule
from lightning_pose.diagnosis import examine
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.sample import Sample
from lightning_pose.skeletons import LSP14
from tests.diagnosis import faults
from tests.diagnosis.drawn import InMemory, Planted, drawn, mirror, quietly


def test_nothing_is_found_in_synthetic_people():
    found = Planted().examine(copies=True)
    assert found.passed
    assert [f for f in found.findings if f.severity != "unknown"] == []
    assert {(f.name, f.title) for f in found.findings} <= {
        ("test", "Test split"),
        ("train", "Facing the camera"),
        ("val", "Facing the camera"),
        ("val", "First pixel"),
    }
    assert [people.name for people in found.parts] == ["train", "val"]
    assert [len(sample.index) for sample in found.samples] == [160, 60]


FAULTS: list[tuple[Callable[[], Planted], str, str, str]] = [
    (faults.swapped_flip_pair, "skeleton", "Flip pairs", "wrong"),
    (faults.joints_in_another_order, "train", "Symmetry of the joints", "wrong"),
    (faults.counted_from_one, "train", "First pixel", "suspicious"),
    (faults.inverted_flags, "train", "Flags of visibility", "wrong"),
    (faults.inverted_flags, "train", "Flags against masks", "wrong"),
    (faults.mirrored_images, "train", "Joints against masks", "wrong"),
    (faults.mirrored_copies, "train", "Mirrored copies", "wrong"),
    (faults.head_at_the_shoulder, "skeleton", "Head segment", "wrong"),
    (faults.head_in_another_unit, "train", "Head and torso", "wrong"),
    (faults.exchanged_x_and_y, "train", "Joints against masks", "wrong"),
    (faults.boxes_with_width_and_height, "train", "Form of the boxes", "wrong"),
    (faults.boxes_with_width_and_height, "train", "People that cannot be used", "wrong"),
    (faults.boxes_with_the_corner_added, "train", "Form of the boxes", "wrong"),
    (faults.masks_of_others, "train", "Joints far from the mask", "wrong"),
    (faults.empty_masks, "train", "Empty or full masks", "wrong"),
    (faults.full_masks, "train", "Empty or full masks", "wrong"),
    (lambda: faults.moved_masks(9, 0), "train", "Joints against masks", "wrong"),
    (lambda: faults.moved_masks(0, -9), "train", "Joints against masks", "wrong"),
    (faults.half_the_scale, "train", "Scale of the coordinates", "wrong"),
    (faults.twice_the_scale, "train", "Joints outside the image", "wrong"),
    (faults.fractions_of_the_image, "train", "Scale of the coordinates", "wrong"),
    (faults.shared_photograph, "val", "Images in two splits", "wrong"),
    (faults.shared_people, "val", "Images in two splits", "wrong"),
    (faults.placeholders, "train", "Joints at the corner", "wrong"),
    (faults.not_a_number, "train", "People that cannot be used", "wrong"),
]


@pytest.mark.parametrize(("plant", "name", "title", "severity"), FAULTS)
def test_a_planted_fault_is_found(plant, name: str, title: str, severity: str):
    copies = title in ("Mirrored copies", "Images in two splits")
    found = plant().examine(copies)
    assert (name, title, severity) in {(f.name, f.title, f.severity) for f in found.findings}
    assert found.passed == (severity != "wrong")
    # What is right is not blamed, unless the skeleton is wrong for everyone.
    blamed = {f.name for f in found.findings if f.severity != "unknown"}
    assert name in ("val", "skeleton") or "val" not in blamed


def test_the_sentences_name_the_fault():
    def sentences(planted: Planted) -> str:
        return " ".join(finding.sentence for finding in planted.examine().findings)

    assert "would be on it with x and y exchanged" in sentences(faults.exchanged_x_and_y())
    assert "would be on it as if the image were mirrored" in sentences(faults.mirrored_images())
    assert "if read as x, y, width, height" in sentences(faults.boxes_with_width_and_height())
    assert "that were taken for x, y, width, height" in sentences(
        faults.boxes_with_the_corner_added()
    )
    assert "right_ankle with left_knee instead of left_ankle" in sentences(
        faults.swapped_flip_pair()
    )
    # Pictures and masks 9 pixels to the right: the joints belong there.
    assert "would be on it if moved by +10% of a person in x and +0% in y" in sentences(
        faults.moved_masks(9, 0)
    )


def facing(samples: list[Sample]) -> list[Sample]:
    """Those who stand and face the camera, as most people in photographs do."""
    left, right = LSP14.names.index("left_shoulder"), LSP14.names.index("right_shoulder")
    return [
        s
        for s in samples
        if s.keypoints[left, 0] > s.keypoints[right, 0] + 12 and s.keypoints[13, 1] < s.box[1] + 20
    ]


def test_a_split_that_was_mirrored_without_exchanging_sides_differs_from_the_other():
    people = facing(drawn("train"))
    for person, sample in enumerate(people):
        sample.person_id = person
    assert len(people) >= 20
    # Several of each, because a share needs many people.
    train = [replace(s, person_id=s.person_id + 1000 * n) for n in range(4) for s in people]
    val = [replace(s, person_id=s.person_id + 9000) for s in train]
    assert Planted(train=train, val=val).examine().findings[0].severity == "unknown"
    wrong = [mirror(s, range(14)) for s in val]
    right = [mirror(s, LSP14.flip_order) for s in val]
    titles = [f.title for f in Planted(train=train, val=right).examine().findings]
    assert "Facing the camera" not in titles
    found = [
        f
        for f in Planted(train=train, val=wrong).examine().findings
        if f.title == "Facing the camera" and f.severity == "suspicious"
    ]
    assert [f.name for f in found] == ["val", "val"], "against a half, and against train"


def test_mirrored_copies_with_exchanged_sides_are_right():
    copies = [
        replace(
            mirror(s, LSP14.flip_order), person_id=s.person_id + 500, image_id=f"m{s.person_id}"
        )
        for s in drawn()[:20]
    ]
    found = Planted(train=[*drawn(), *copies]).examine(copies=True)
    assert "Mirrored copies" not in {finding.title for finding in found.findings}


def test_near_duplicates_are_not_searched_unless_asked():
    assert faults.shared_photograph().examine(copies=False).passed


def test_few_shared_photographs_are_not_wrong():
    planted = faults.shared_photograph()
    planted.val += [replace(s, person_id=s.person_id + 9000) for s in drawn("val")]
    many = [replace(s, image_id=f"{s.image_id}-{s.person_id}") for s in planted.val]
    noise = np.random.default_rng(0)
    for sample in many[61:]:
        sample.image = cv2.resize(
            noise.integers(0, 255, (9, 9, 3), dtype=np.uint8), (160, 160),
            interpolation=cv2.INTER_CUBIC,
        )  # fmt: skip
    (found,) = [
        f
        for f in Planted(val=many).examine(copies=True).findings
        if f.title == "Images in two splits"
    ]
    assert (found.severity, found.suspects) == ("suspicious", (60,))


class Refusing(InMemory):
    def read(self, index: int, shrink: int = 1):
        if index in (2, 5):
            raise DataError(f"Expected a whole image, found half of number {index}; restore it.")
        return super().read(index, shrink)


def test_files_that_cannot_be_read_are_counted_and_nothing_else_fails(monkeypatch):
    data = Planted().data()
    make, val = data.make_dataset, Refusing(drawn("val"))
    monkeypatch.setattr(data, "make_dataset", lambda split: val if split == "val" else make(split))
    found = examine(data, 1000, copies=True, track=quietly)
    (wrong,) = [finding for finding in found.findings if finding.severity == "wrong"]
    assert (wrong.name, wrong.suspects) == ("val", (2, 5))
    assert "stops at 2 people or more" in wrong.sentence
    assert "found half of number 2" in wrong.sentence
    # A file that the sample has missed stops the search for duplicates, and is named.
    few = examine(data, 1, copies=True, track=quietly)
    (wrong,) = [finding for finding in few.findings if finding.severity == "wrong"]
    assert "found half of number" in wrong.sentence


def test_an_empty_split_is_wrong_and_a_missing_one_is_refused(monkeypatch):
    found = Planted(val=[]).examine()
    assert ("val", "Empty split", "wrong") in {
        (f.name, f.title, f.severity) for f in found.findings
    }

    def refuse(split: str):
        raise ConfigError(f"Expected {split}, found none; make it.")

    data = Planted().data()
    monkeypatch.setattr(data, "make_dataset", refuse)
    with pytest.raises(ConfigError, match="Expected train"):
        examine(data, 1, copies=False, track=quietly)


def test_the_sets_of_a_mix_are_examined_one_by_one():
    good, bad = Planted(), faults.half_the_scale()
    mix = MixedDataModule(sets={"good": good.data(), "bad": bad.data()})
    found = examine(mix, 1000, copies=False, track=quietly)
    names = {"train/good", "train/bad", "val/good", "val/bad"}
    assert {people.name for people in found.parts} == names
    assert {f.name for f in found.findings if f.severity == "wrong"} == {"train/bad"}
