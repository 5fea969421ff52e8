"""What people add to a metric: it gives the metric itself, and that of any resample."""

import numpy as np
import pytest
import torch

from lightning_pose.metrics import PCK, RMSE, Dice, PCKh, PoseMetric, judge
from lightning_pose.report import shares as module
from lightning_pose.report.shares import Shares, resampled, shares
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.metrics.people import make_people, predict, take
from tests.report.runs import score

METRICS = {
    "PCKh": PCKh(),
    "all joints alike": PCKh(average="micro"),
    "some joints": PCK(joints=["left_knee", "right_wrist"], threshold=0.6),
    "per box": PCK(size="box"),
    "RMSE": RMSE(),
    "RMSE of joints": RMSE(average="macro"),
    "Dice": Dice(),
}


def built(name: str) -> PoseMetric:
    metric = METRICS[name].clone()
    metric.build(Task(LSP14))
    return metric


@pytest.mark.parametrize("name", METRICS)
def test_the_people_give_the_metric_and_that_of_any_resample(name: str) -> None:
    head = "mask" if name == "Dice" else "joints"
    columns, figures = score(12.0, seed=3, metrics=METRICS)
    found = shares(built(name), columns, head, name)
    assert found.value == pytest.approx(figures[f"{head}/{name}"], rel=1e-5)
    assert found.give(figures[f"{head}/{name}"])
    # The same from the metric itself, over people who are there several times or not at all.
    drawn = torch.randint(60, (60,))
    weights = np.bincount(drawn, minlength=60)[None].astype(float)
    whole = make_people(60)
    metric = built(name)
    metric.judge(judge(predict(take(whole, drawn), 12.0, 3), take(whole, drawn)))
    assert found.over(weights) == pytest.approx(float(metric.compute()), rel=1e-5)
    assert found.over(weights) != pytest.approx(found.value, rel=1e-5)


def test_pixels_of_a_stretched_input_are_those_of_each_axis() -> None:
    columns, figures = score(12.0, seed=3, metrics=METRICS, stretch=2.5)
    found = shares(built("RMSE"), columns, "joints", "RMSE")
    assert found.value == pytest.approx(figures["joints/RMSE"], rel=1e-5)


def test_an_average_of_another_kind_is_noticed() -> None:
    metrics = {"Dice": Dice(average="global")}
    columns, figures = score(12.0, 3, metrics=metrics, heads={"mask": ("mask",)})
    # Random masks are alike for everybody; here one person has a small one.
    columns["mask/Dice"][:20] = 0.1
    assert not shares(metrics["Dice"], columns, "mask", "Dice").give(figures["mask/Dice"])


def test_nobody_labelled_is_no_value() -> None:
    nobody = Shares(np.zeros((3, 2)), np.zeros((3, 2)))
    assert np.isnan(nobody.value)
    assert nobody.give(np.nan)
    assert not nobody.give(0.5)


def test_small_losses_are_told_apart() -> None:
    small = Shares(np.full((5, 1), 0.0005), np.ones((5, 1)))
    assert small.give(0.0005)
    assert not small.give(0.0006)


def test_every_run_gets_the_same_resamples_in_any_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    values, counts = random.random((40, 3)), np.ones((40, 3))
    one, other = Shares(values, counts), Shares(values + 1, counts)
    found = resampled([one, other, one], resamples=500)
    assert found.shape == (3, 500)
    np.testing.assert_allclose(found[1], found[0] + 1, rtol=1e-5)
    np.testing.assert_array_equal(found[2], found[0])
    monkeypatch.setattr(module, "_AT_ONCE", 130)
    np.testing.assert_allclose(resampled([one], resamples=500), found[:1], rtol=1e-6)
    # The standard error of a mean.
    expected = values.mean(axis=1).std() / np.sqrt(40)
    assert found[0].std() == pytest.approx(expected, rel=0.15)
    assert found[0].mean() == pytest.approx(values.mean(), abs=expected / 4)
