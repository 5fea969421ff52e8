"""Dice against a plain loop, and its rules for unknown pixels and empty masks."""

import matplotlib
import numpy as np
import pytest
import torch

from lightning_pose.errors import ConfigError, DataError
from lightning_pose.metrics import Dice, dice_per_person, mask_dice
from lightning_pose.metrics.dice import check_masks


def masks(count=13, seed=0):
    generator = torch.Generator().manual_seed(seed)
    preds = torch.rand(count, 5, 7, generator=generator)
    target = torch.randint(-1, 2, (count, 5, 7), generator=generator, dtype=torch.int8)
    target[0] = -1
    target[1], preds[1] = target[1].clamp(max=0), 0.2
    return preds, target


def counts(preds, target, threshold):
    """Overlap and areas, one pixel at a time."""
    overlap = area = known = 0
    for probability, truth in zip(preds.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth >= 0:
            known += 1
            overlap += probability > threshold and truth == 1
            area += (probability > threshold) + truth
    return overlap, area, known


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_it_is_its_definition(threshold):
    preds, target = masks()
    each = [counts(p, t, threshold) for p, t in zip(preds, target, strict=True)]
    values = [2 * o / a if a else 1.0 if known else np.nan for o, a, known in each]
    assert np.isnan(values[0])
    assert values[1] == 1.0
    per_person = dice_per_person(preds, target, threshold=threshold)
    np.testing.assert_allclose(per_person, values, rtol=1e-6)
    overlap, area, _ = np.sum(each, axis=0)
    for average, wanted in (("samplewise", np.nanmean(values)), ("global", 2 * overlap / area)):
        metric = Dice(average=average, threshold=threshold)
        metric.update(preds=preds, target=target)
        assert metric.compute().item() == pytest.approx(wanted, rel=1e-6)
        value = mask_dice(preds, target, average=average, threshold=threshold)
        assert value.item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("average", ["samplewise", "global"])
def test_neither_batches_nor_processes_change_it(average):
    preds, target = masks()
    shares = [Dice(average=average) for _ in range(2)]
    for batch, index in enumerate(torch.arange(13).split(3)):
        shares[batch % 2].update(preds=preds[index], target=target[index])
    shares[0].merge_state(shares[1])
    whole = mask_dice(preds, target, average=average)
    torch.testing.assert_close(shares[0].compute(), whole, rtol=1e-7, atol=0)


def test_what_is_unknown_or_padding_changes_nothing():
    preds, target = masks()
    values = dice_per_person(preds, target)
    guesses = torch.where(target < 0, 1 - preds, preds)
    torch.testing.assert_close(dice_per_person(guesses, target), values, equal_nan=True)
    valid = torch.rand(target.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    hidden = target.masked_fill(~valid, -1)
    torch.testing.assert_close(
        dice_per_person(preds, target, valid=valid), dice_per_person(preds, hidden), equal_nan=True
    )


def test_a_perfect_mask_is_one_and_its_opposite_zero():
    target = masks()[1][2:]
    assert mask_dice(target == 1, target).item() == 1.0
    assert mask_dice(target != 1, target).item() == 0.0


def test_empty_masks_agree_and_a_missed_person_does_not():
    empty, full = torch.zeros(1, 2, 2, dtype=torch.int8), torch.ones(1, 2, 2, dtype=torch.int8)
    for average in ("samplewise", "global"):
        assert mask_dice(empty == 1, empty, average=average).item() == 1.0
        assert mask_dice(empty == 1, full, average=average).item() == 0.0
        assert mask_dice(full == 1, empty, average=average).item() == 0.0


@pytest.mark.parametrize("average", ["samplewise", "global"])
def test_without_a_known_pixel_it_is_nan(average):
    unknown = torch.full((2, 3, 3), -1, dtype=torch.int8)
    assert mask_dice(torch.rand(2, 3, 3), unknown, average=average).isnan()
    metric = Dice(average=average)
    metric.update(preds=torch.rand(2, 3, 3), target=unknown)
    assert metric.compute().isnan()


def test_half_precision_and_other_integers_are_taken():
    preds, target = masks()
    wanted = dice_per_person(preds > 0.5, target)
    half = (preds > 0.5).to(torch.bfloat16)
    torch.testing.assert_close(dice_per_person(half, target.long()), wanted, equal_nan=True)


def test_it_plots():
    matplotlib.use("agg")
    metric = Dice()
    metric.update(*masks())
    figure, axes = metric.plot()
    assert axes.lines[0].get_ydata()[0] == metric.compute()
    matplotlib.pyplot.close(figure)


def test_bad_settings_and_bad_input_get_one_sentence():
    for threshold in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="threshold from 0 to below 1"):
            Dice(threshold=threshold)
    preds, target = masks()
    metric = Dice()
    for broken in (preds * 20 - 10, preds.masked_fill(preds > 0.9, torch.nan)):
        with pytest.raises(DataError, match="probabilities from 0 to 1"):
            metric.update(preds=broken, target=target)
    with pytest.raises(DataError, match="1 person, 0 background, -1 unknown"):
        metric.update(preds=preds, target=target.int() * 255)
    assert metric.people == 0


@pytest.mark.parametrize(
    ("preds", "target", "valid", "message"),
    [
        (torch.zeros(2, 3, 3), torch.zeros(2, 3, 4).char(), None, "one shape"),
        (torch.zeros(3, 3), torch.zeros(3, 3).char(), None, "one shape"),
        (torch.zeros(2, 3, 3).char(), torch.zeros(2, 3, 3).char(), None, "as booleans or"),
        (torch.zeros(2, 3, 3), torch.zeros(2, 3, 3), None, "target as integers"),
        (torch.zeros(2, 3, 3), torch.zeros(2, 3, 3).char(), torch.ones(2, 3, 3), "valid as bool"),
        (torch.zeros(2, 3, 3), torch.zeros(2, 3, 3).char(), torch.ones(2, 3) > 0, "valid as bool"),
    ],
)
def test_masks_that_do_not_fit_get_one_sentence(preds, target, valid, message):
    with pytest.raises(DataError, match=message):
        check_masks(preds, target, valid)


def test_a_probability_at_the_threshold_is_background():
    preds, target = torch.full((1, 2, 2), 0.5), torch.zeros(1, 2, 2, dtype=torch.int8)
    assert mask_dice(preds, target) == 1
    assert mask_dice(preds, target + 1) == 0
    assert mask_dice(preds, target + 1, threshold=0.4) == 1
