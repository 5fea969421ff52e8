"""Charts: well-formed, without other files, in the colours of the page."""

import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_pose.report import charts
from lightning_pose.report.charts import SERIES, curves, intervals, pareto_front, scatter
from lightning_pose.report.statistics import Difference

NAMES = [f"arm {n} <$x_{n}$> & more" for n in range(SERIES + 1)]


def drawn(kind: str) -> str:
    random = np.random.default_rng(0)
    if kind == "curves":
        steps = np.arange(3.0)
        found = {name: (steps, random.random((2, 3))) for name in NAMES}
        found[NAMES[1]] = (np.zeros(0), np.zeros((0, 0)))
        found[NAMES[2]] = (steps[:1], np.ones((1, 1)))
        return curves(found, "val/<joints>/PCKh")
    if kind == "intervals":
        one = Difference(0.02, 0.01, 0.03, 0.001, 5, 0.01, "real")
        single = Difference(0.02, np.nan, np.nan, np.nan, 1, 0.01, "not decided")
        shown = [single, *[one] * SERIES]
        return intervals(dict(zip(NAMES, enumerate(shown), strict=True)), "difference")
    runs = {name: (random.random(4), random.random(4)) for name in NAMES}
    runs[NAMES[1]] = (np.zeros(0), np.zeros(0))
    return scatter(runs, ("joints/RMSE", "mask/Dice"), (False, True))


@pytest.mark.parametrize("kind", ["curves", "intervals", "scatter"])
def test_a_chart_is_part_of_a_page(kind: str) -> None:
    text = drawn(kind)
    # In a page, the prefix of links needs no declaration.
    parsed = ElementTree.fromstring(text.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    assert parsed.tag == "svg"
    assert parsed.attrib["aria-label"]
    assert not re.search(r"https?:|url\((?!#)|@import|<script|<style", text.replace("\n", ""))
    # Every colour is a variable of the page, for light and dark.
    assert not re.search(r"(?:fill|stroke): #", text)
    assert {"var(--ink)", "var(--soft)", "var(--series-0)", "var(--series-7)"} <= set(
        re.findall(r"var\(--[a-z0-9-]+\)", text)
    )
    if kind == "intervals":
        labels = ["".join(element.itertext()) for element in parsed.iter("text")]
        assert NAMES[3] in labels


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Axes]:
    """What a chart draws on."""
    figures: list[Figure] = []

    def keep(figure: Figure, title: str) -> str:
        figures.append(figure)
        return title

    monkeypatch.setattr(charts, "_svg", keep)
    return lambda chart: figures[-1].axes[0]


def colours(place: int) -> str:
    """The colour that stands for a place until the page sets it."""
    return f"#0f00{place:02x}"


def test_a_curve_is_the_mean_over_runs_and_its_band_all_of_them(axes) -> None:
    values = np.array([[1.0, 2.0, np.nan], [3.0, 6.0, 9.0]])
    drawn = axes(curves({"a": (np.array([5.0, 10.0, 15.0]), values)}, "val/x px"))
    (line,) = drawn.lines
    assert line.get_xdata().tolist() == [5, 10, 15]
    assert line.get_ydata().tolist() == [2, 4, 9]
    assert line.get_color() == colours(0)
    (band,) = drawn.collections
    corners = band.get_paths()[0].vertices
    for step, low, high in ((5, 1, 3), (10, 2, 6), (15, 9, 9)):
        at = corners[corners[:, 0] == step][:, 1]
        assert (at.min(), at.max()) == (low, high)
    assert (drawn.get_xlabel(), drawn.get_ylabel()) == ("step", "val/x px")


def test_an_interval_has_its_ends_its_middle_and_the_margin(axes) -> None:
    real = Difference(0.04, 0.01, 0.07, 0.001, 5, 0.02, "real")
    noise = Difference(-0.005, -0.01, 0.0, 0.5, 5, 0.02, "noise")
    drawn = axes(intervals({"a": (2, real), "b": (5, noise)}, "PCK, difference"))
    first, middle, second, other, zero = drawn.lines
    assert first.get_xydata().tolist() == [[0.01, 0], [0.07, 0]]
    assert second.get_xydata().tolist() == [[-0.01, 1], [0.0, 1]]
    assert (middle.get_xdata()[0], other.get_xdata()[0]) == (0.04, -0.005)
    assert [line.get_color() for line in (first, second)] == [colours(2), colours(5)]
    # Only what is real is filled.
    assert middle.get_markerfacecolor() == colours(2)
    assert other.get_markerfacecolor() == "none"
    assert set(zero.get_xdata()) == {0}
    (margin,) = drawn.patches
    assert (margin.get_x(), margin.get_x() + margin.get_width()) == (-0.02, 0.02)
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["a", "b"]
    assert drawn.get_ylim()[0] > drawn.get_ylim()[1], "the first is above"
    assert drawn.get_xlabel() == "PCK, difference"


def test_a_scatter_has_runs_means_and_the_front_of_the_means(axes) -> None:
    arms = {
        "a": (np.array([1.0, 3.0]), np.array([4.0, 8.0])),  # The mean is (2, 6).
        "b": (np.array([5.0]), np.array([5.0])),
        "c": (np.array([1.0]), np.array([5.0])),  # Beaten by both.
    }
    drawn = axes(scatter(arms, ("x px", "y"), (True, True)))
    runs, means, front = drawn.lines[:-1:2], drawn.lines[1:-1:2], drawn.lines[-1]
    for line, (x, y) in zip(runs, arms.values(), strict=True):
        assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == (x.tolist(), y.tolist())
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in means]
    assert points == [(2, 6), (5, 5), (1, 5)]
    assert list(zip(front.get_xdata(), front.get_ydata(), strict=True)) == [(2, 6), (5, 5)]
    assert (drawn.get_xlabel(), drawn.get_ylabel()) == ("x px", "y")


def test_arms_of_one_colour_differ_in_their_lines() -> None:
    text = drawn("curves")
    lines = re.findall(r'<path [^>]*style="fill: none;([^"]*)stroke: var\(--series-0\)', text)
    assert len(lines) == 2
    assert sum("stroke-dasharray" in line for line in lines) == 1


def test_arms_of_one_colour_differ_in_their_marks() -> None:
    count = {}
    for arms in (SERIES, SERIES + 1):
        names = [f"arm {n}" for n in range(arms)]
        text = scatter(dict.fromkeys(names, (np.ones(1), np.ones(1))), ("x", "y"), (True, True))
        count[arms] = len(set(re.findall(r'<use xlink:href="#(m\w+)"', text)))
    assert count[SERIES + 1] == count[SERIES] + 2  # A small and a large square.


def test_nothing_beats_an_arm_on_the_front() -> None:
    random = np.random.default_rng(0)
    means = {str(n): tuple(random.integers(0, 6, 2).astype(float).tolist()) for n in range(30)}
    for signs in ((1, 1), (1, -1), (-1, -1)):
        front = pareto_front(means, (signs[0] > 0, signs[1] > 0))
        assert front
        for name, (x, y) in means.items():
            beaten = [
                n for n, (u, v) in means.items()
                if (u - x) * signs[0] >= 0 and (v - y) * signs[1] >= 0 and (u, v) != (x, y)
            ]  # fmt: skip
            assert (name in front) == (not beaten)


@pytest.mark.parametrize("better", [(True, True), (False, True), (True, False), (False, False)])
def test_better_is_up_and_to_the_right(better: tuple[bool, bool]) -> None:
    good = [np.array([0.9 if up else 0.1]) for up in better]
    bad = [1 - value for value in good]
    text = scatter({"good": tuple(good), "bad": tuple(bad)}, ("x", "y"), better)
    places = {}
    for element in ElementTree.fromstring(text.replace("<svg ", '<svg xmlns:xlink="x" ')).iter():
        for place, name in enumerate(("good", "bad")):
            if element.tag == "use" and f"var(--series-{place})" in element.get("style", ""):
                places[name] = (float(element.get("x")), float(element.get("y")))
    assert places["good"][0] > places["bad"][0]
    assert places["good"][1] < places["bad"][1]  # Pixels count downwards.
