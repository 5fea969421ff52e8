from dataclasses import replace

import numpy as np
import pytest

from lightning_pose.diagnosis.masks import check_base, check_masks
from lightning_pose.diagnosis.pixels import sample_pixels
from tests.diagnosis.drawn import Samples, drawn, move, quietly, table


def examined(samples: Samples):
    people = table(samples)
    return people, sample_pixels(people, 1000, quietly)


def test_masks_of_two_people_are_exchanged():
    samples = drawn()
    samples[3], samples[8] = (
        replace(samples[3], mask=samples[8].mask),
        replace(samples[8], mask=samples[3].mask),
    )
    (found,) = check_masks(*examined(samples))
    assert found.severity == "suspicious"
    assert set(found.suspects) <= {3, 8}
    assert found.suspects


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize(
    ("count", "severity"), [(1, "suspicious"), (4, "suspicious"), (6, "wrong"), (160, "wrong")]
)
def test_empty_and_full_masks_are_counted(value: int, count: int, severity: str):
    samples = drawn()
    for sample in samples[:count]:
        sample.mask[:] = value
    found = [f for f in check_masks(*examined(samples)) if f.title == "Empty or full masks"]
    assert [(f.severity, f.suspects) for f in found] == [(severity, tuple(range(count)))]
    words = f"{count} are empty and 0 cover" if value == 0 else f"0 are empty and {count} cover"
    assert found[0].sentence.startswith(f"Of 160 masks, {words}")


def test_unknown_pixels_are_neither_empty_nor_full():
    samples = drawn()
    for sample in samples[:50]:
        sample.mask[sample.mask == 0] = -1
    for sample in samples[50:100]:
        sample.mask[sample.mask == 1] = -1
    assert check_masks(*examined(samples)) == []


@pytest.mark.parametrize(("pixels", "severities"), [(0, []), (0.4, []), (1, ["suspicious"])])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_masks_tell_a_pixel(pixels: float, severities: list[str], sign: int):
    moved = move(drawn(), lambda points, _: points + np.float32([sign * pixels, 0]))
    found = check_base(*examined(moved))
    assert [finding.severity for finding in found] == severities
    for finding in found:
        assert ("to the right" if sign > 0 else "to the left") in finding.sentence


def test_without_masks_nothing_tells_a_pixel():
    samples = drawn()
    for sample in samples:
        sample.mask[:] = -1
    people, sample = examined(samples)
    assert check_masks(people, sample) == []
    assert [finding.severity for finding in check_base(people, sample)] == ["unknown"]


def test_rough_masks_are_not_wrong():
    rng = np.random.default_rng(0)
    samples = drawn()
    for sample in samples:
        by = rng.integers(-2, 3, 2).tolist()
        sample.mask = np.roll(sample.mask, by, axis=(0, 1))
    people, sample = examined(samples)
    assert check_masks(people, sample) == []
