"""The page: whole, without other files, and with everything that there is to see."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lightning_pose.report import compare as compare_page
from lightning_pose.report.charts import SERIES
from lightning_pose.report.compare import MARK, _curve, page
from lightning_pose.report.comparison import ArmRuns, Comparison, compare
from lightning_pose.report.measure import Measure
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
    assert "mask/Dice, difference from equal (higher is better)" in text
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


def test_the_page_draws_the_runs_of_each_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list] = {"intervals": [], "scatter": [], "curves": []}
    for name, calls in seen.items():
        monkeypatch.setattr(compare_page, name, lambda *given, calls=calls: calls.append(given))
    found = comparison("equal", "dwa")
    page(found, {}, "a")
    ((differences, _),) = seen["intervals"]
    assert list(differences) == ["dwa"]
    place, difference = differences["dwa"]
    assert place == 1, "the colour of the second arm"
    assert difference.value == pytest.approx(0.1)
    ((arms, labels, better),) = seen["scatter"]
    assert (labels, better) == (("joints/RMSE px", "mask/Dice"), (False, True))
    x, y = arms["dwa"]
    np.testing.assert_allclose(y, [v + 0.1 for v in VALUES])
    np.testing.assert_allclose(x, 30 - 10 * y)
    (metric, label), (weights, other) = seen["curves"]
    assert (label, other) == ("val/mask/Dice", "weight/mask")
    steps, values = metric["dwa"]
    assert steps.tolist() == [5, 10]
    np.testing.assert_allclose(values[:, 1], [v + 0.1 for v in VALUES])
    np.testing.assert_allclose(weights["equal"][1], [[1.0, 0.5]] * 5)


def test_the_axes_of_intervals_and_curves_have_the_unit() -> None:
    unit = {"unit": "px", "higher_is_better": False, "fraction": False}
    arms = [arm(name, "joints/RMSE", [20.0 + v for v in VALUES], **unit) for name in ("a", "b")]
    labels = re.findall(r'aria-label="([^"]*)"', page(compare(arms), {}, "a"))
    assert labels[0] == "joints/RMSE px, difference from a (lower is better), with intervals"
    assert labels[1] == "val/joints/RMSE px over the steps of each arm"


def test_an_arm_that_lacks_a_step_has_no_value_there() -> None:
    one = arm("a", "mask/Dice", [0.5, 0.6])
    later = replace(one.runs[1], curves={"val/mask/Dice": {10: 0.6, 15: 0.7}})
    steps, values = _curve(replace(one, runs=(one.runs[0], later)), "val/mask/Dice")
    assert steps.tolist() == [5, 10, 15]
    np.testing.assert_array_equal(values, [[0.25, 0.5, np.nan], [np.nan, 0.6, 0.7]])


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
