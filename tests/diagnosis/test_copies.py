from dataclasses import replace

import pytest

from lightning_pose.diagnosis.copies import check_copies, check_shared
from lightning_pose.errors import DataError
from lightning_pose.sample import Pixels
from lightning_pose.skeletons import LSP14
from tests.diagnosis.drawn import InMemory, drawn, mirror, table


def part(samples, split: str, name: str):
    return replace(table(samples, split=split), name=name)


def test_people_are_compared_within_one_set_of_a_mix():
    ours = part(drawn()[:4], "train", "train/a")
    assert check_shared([ours, part(drawn()[2:6], "val", "val/b")]) == []
    (found,) = check_shared([ours, part(drawn()[2:6], "val", "val/a")])
    assert (found.severity, found.suspects) == ("wrong", (0, 1))
    assert found.sentence.startswith("2 of 4 people are in both train/a and val/a")


def test_validation_and_test_may_share_people_without_spoiling_training():
    val, test = part(drawn()[:4], "val", "val"), part(drawn()[:4], "test", "test")
    assert [found.severity for found in check_shared([val, test])] == ["suspicious"]
    assert [found.severity for found in check_copies([val, test], False)] == ["suspicious"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_photograph_in_two_sets_is_found_under_any_name(mirrored: bool):
    copy = mirror(drawn()[1], LSP14.flip_order) if mirrored else drawn()[1]
    theirs = [replace(copy, image_id="other"), *drawn("val")[:3]]
    parts = [part(drawn()[:4], "train", "train/a"), part(theirs, "val", "val/b")]
    (found,) = check_copies(parts, False)
    assert (found.severity, found.name, found.suspects) == ("wrong", "val/b", (0,))
    assert "1 of 4 images" in found.sentence
    assert "such as other" in found.sentence


def test_people_who_cannot_be_read_are_left_out():
    people = part([drawn()[1], *drawn("val")[:3]], "val", "val")
    broken = replace(people, failures={0: "Expected an image, found none; restore it."})
    assert check_copies([part(drawn()[:4], "train", "train"), broken], False) == []


def test_images_that_cannot_be_read_are_all_named_and_the_others_searched(
    monkeypatch: pytest.MonkeyPatch,
):
    read = InMemory.read

    def fail(self, index: int, shrink: int = 1) -> Pixels:
        name = self.samples[index].image_id
        if name.startswith("bad"):
            raise DataError(f"Expected a whole image in {name}, found half of one; restore it.")
        return read(self, index, shrink)

    monkeypatch.setattr(InMemory, "read", fail)
    names = ["other", "bad1", "ok", "bad2"]
    theirs = [
        replace(s, image_id=n) for s, n in zip([drawn()[1], *drawn("val")], names, strict=False)
    ]
    broken = replace(part(theirs, "val", "val"), failures={2: "known"})
    found = check_copies([part(drawn()[:4], "train", "train"), broken], False)
    assert [(f.severity, f.name, f.title, f.suspects) for f in found] == [
        ("wrong", "val", "People that cannot be used", (1, 3)),
        ("wrong", "val", "Images in two splits", (0,)),
    ]
    assert found[0].sentence.startswith(
        "2 of the images or their masks cannot be read (bad1, bad2)"
    )
    assert "; the first: Expected a whole image in bad1" in found[0].sentence
    assert "1 of 1 images" in found[1].sentence


def test_a_photograph_of_several_people_says_nothing_about_mirrored_labels():
    first, second = drawn()[:2]
    pair = [replace(first, image_id="a"), replace(second, image=first.image, image_id="a")]
    copies = [
        replace(mirror(person, range(14)), image_id="b", person_id=50 + n)
        for n, person in enumerate(pair)
    ]
    assert check_copies([part([*pair, *copies], "train", "train")], False) == []
