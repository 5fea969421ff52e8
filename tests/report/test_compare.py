"""The page: whole, without other files, and with everything that there is to see."""

import re
from dataclasses import replace

import numpy as np

from lightning_pose.report.charts import SERIES
from lightning_pose.report.compare import MARK, overview, page, spread, verdict
from lightning_pose.report.comparison import ArmRuns, Comparison, Measure, compare
from tests.report.runs import arm
from tests.report.test_doctor import Tags

VALUES = [0.60, 0.61, 0.62, 0.61, 0.60]


def comparison(*names: str, shift: float = 0.1) -> Comparison:
    arms = [arm(name, "mask/Dice", [v + shift * n for v in VALUES]) for n, name in enumerate(names)]
    both = []
    for one in arms:
        runs = [
            replace(run, metrics={**run.metrics, "joints/RMSE": 30 - 10 * run.metrics["mask/Dice"]})
            for run in one.runs
        ]
        measures = {**one.measures, "joints/RMSE": Measure("px", False, fraction=False)}
        both.append(replace(one, runs=tuple(runs), measures=measures))
    return compare(both)


def test_the_page_is_whole_and_needs_no_other_file() -> None:
    found = comparison("equal", "dwa")
    text = page(found, {"model.weighting": ["Fixed", "DWA"]}, "Study weights")
    assert Tags(re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)).open == []
    assert not re.search(r"https?:|url\((?!#)|@import|<script", text)
    assert MARK in text[:1000]
    assert "prefers-color-scheme: dark" in text
    for name in re.findall(r"var\((--[a-z0-9-]+)\)", text):
        # Once for light, once for dark.
        assert text.count(f"{name}: #") == 2, name
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "mask/Dice", "joints/RMSE", "Metrics", "mask/Dice against joints/RMSE", "Learning curves",
        "Weights of the heads", "Cost", "What differs", "How this was decided",
    ]  # fmt: skip
    assert text.count("<svg ") == 1 + 1 + 1 + 1  # Intervals, Pareto, curve, weight.
    assert '<li class="real">dwa: mask/Dice is better than in equal by 0.100' in text
    assert "dwa: joints/RMSE is not compared with equal" in text
    assert "<td>12,345</td>" in text
    assert (
        "Each run is scored at its best checkpoint, which is chosen by the metric of its main head."
        in text
    )


def test_what_is_missing_leaves_the_rest() -> None:
    found = comparison("equal", "dwa")
    dead = ArmRuns("dead", (), ("Expected a run that has ended in x/<b>, found none.",))
    bare = [replace(one, runs=tuple(replace(run, curves={}) for run in one.runs))
            for one in found.arms]  # fmt: skip
    text = page(compare([*bare, dead], judged=["mask/Dice"]), {}, "a")
    assert "1 run is left out" in text
    assert "x/&lt;b&gt;, found none." in text
    assert "dead: mask/Dice is not compared with equal: no run of dead has ended." in text
    assert not {"Learning curves", "Weights of the heads", "What differs"} & set(
        re.findall(r"<h2>(.*?)</h2>", text)
    )


def test_the_curve_of_a_loss_is_its_column() -> None:
    one = arm("a", "heatmap/loss", VALUES, higher_is_better=False, loss=True)
    runs = tuple(replace(run, curves={"val/loss/heatmap": {5: 2.0, 9: 1.0}}) for run in one.runs)
    text = page(compare([replace(one, runs=runs)]), {}, "a")
    assert "Learning curves" in text
    assert "val/loss/heatmap" in text


def test_what_comes_from_files_is_escaped() -> None:
    found = comparison("equal", "<script>alert(1)</script>")
    text = page(found, {"a<i>": ["<u>", "b"]}, "<em>")
    assert "<script" not in text
    assert not {"<i>", "<u>", "<em>"} & set(re.findall(r"<\w+>", text))
    assert "&lt;script&gt;alert(1)" in text


def test_the_legend_tells_arms_of_one_colour_apart() -> None:
    text = page(comparison(*(f"arm{n}" for n in range(SERIES + 1))), {}, "many")
    assert "border-top-color: var(--series-0); border-top-style: solid" in text
    assert "border-top-color: var(--series-0); border-top-style: dashed" in text


def test_the_table_has_means_and_spreads() -> None:
    heads, rows = overview(comparison("equal", "dwa"))
    assert heads == ["arm", "seeds", "mask/Dice", "joints/RMSE px"]
    assert rows[0] == ["equal", "5", "0.608 ± 0.008", "23.92 ± 0.08"]
    assert spread(np.array([]), Measure()) == "-"


def test_the_verdict_counts() -> None:
    same = comparison("a", "b", "c", shift=0.0)
    assert verdict(same) == "Of 2 comparisons, 0 real, 0 noise, 2 not decided."
    assert verdict(comparison("a", "b")) == "Of 1 comparison, 1 real, 0 noise, 0 not decided."
    assert verdict(comparison("a")) == "Nothing can be compared."
