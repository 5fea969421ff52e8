"""The table and the sentence about a comparison."""

from dataclasses import replace

import numpy as np

from lightning_pose.report.comparison import compare
from lightning_pose.report.measure import Measure
from lightning_pose.report.overview import overview, spread, verdict
from tests.report.runs import arm, finished
from tests.report.test_compare import comparison


def test_the_table_has_means_and_spreads() -> None:
    heads, rows = overview(comparison("equal", "dwa"))
    assert heads == ["arm", "seeds", "mask/Dice", "joints/RMSE px"]
    assert rows[0] == ["equal", "5", "0.608 ± 0.008", "23.92 ± 0.08"]
    assert spread(np.array([]), Measure(), 5) == "-"


def test_runs_without_a_value_are_not_counted() -> None:
    found = comparison("equal", "dwa")
    runs = [*found.arms[0].runs, finished({"mask/Dice": np.nan}, 9)]
    _, rows = overview(compare([replace(found.arms[0], runs=tuple(runs)), found.arms[1]]))
    assert rows[0] == [
        "equal", "6", "0.608 ± 0.008 (5 of 6 seeds)", "23.92 ± 0.08 (5 of 6 seeds)",
    ]  # fmt: skip


def test_a_metric_that_arms_define_differently_has_several_columns() -> None:
    two = [
        arm(name, "joints/PCK", [0.5 + n / 10] * 2, definition=(("class", "PCK"), ("at", str(n))))
        for n, name in enumerate(("first", "second"))
    ]
    both = [
        replace(
            one,
            measures={**one.measures, "mask/Dice": Measure()},
            runs=tuple(replace(run, metrics={**run.metrics, "mask/Dice": 0.9}) for run in one.runs),
        )
        for one in two
    ]
    heads, rows = overview(compare(both, judged=["mask/Dice"]))
    assert heads == [
        "arm", "seeds", "joints/PCK, at=0", "joints/PCK, at=1", "mask/Dice",
    ]  # fmt: skip
    assert rows == [
        ["first", "2", "0.500 ± 0.000", "-", "0.900 ± 0.000"],
        ["second", "2", "-", "0.600 ± 0.000", "0.900 ± 0.000"],
    ]


def test_the_verdict_counts() -> None:
    same = comparison("a", "b", "c", shift=0.0)
    assert verdict(same) == "Of 2 comparisons, 0 real, 0 noise, 2 not decided."
    assert verdict(comparison("a", "b")) == "Of 1 comparison, 1 real, 0 noise, 0 not decided."
    assert verdict(comparison("a")) == "Nothing can be compared."
