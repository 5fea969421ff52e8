"""Charts of arms as SVG inside a page, in colours that its style sets for light and dark."""

import io
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_pose.report.statistics import Difference

__all__ = ["SERIES", "Curve", "curves", "intervals", "scatter"]

SERIES = 8
"""How many colours there are; arms after these have the same, with dashed lines and squares."""

Curve = tuple[Float[np.ndarray, " T"], Float[np.ndarray, "S T"]]
"""Steps, and the values of S runs there, NaN where a run has none."""

_INK = "#0f0f01"
_SOFT = "#0f0f02"
_SETTINGS: dict[Any, Any] = {
    # Text that can be searched and takes the colour of the page.
    "svg.fonttype": "none",
    "svg.hashsalt": "lightning",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _SOFT,
    "grid.alpha": 0.25,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
}


def curves(arms: Mapping[str, Curve], label: str) -> str:
    """Draw the mean of each arm's runs over the steps, with a band from the lowest to the highest.

    Args:
        arms: The curve of each arm, whose place is its colour; an arm without steps is left out.
        label: What is drawn.

    Returns:
        An SVG element.
    """
    with mpl.rc_context(_SETTINGS):
        figure, axes = _figure(3.0)
        for place, (steps, values) in enumerate(arms.values()):
            if len(steps):
                style = _style(place)
                low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
                axes.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)
                marker = "o" if len(steps) == 1 else ""
                axes.plot(steps, np.nanmean(values, axis=0), marker=marker, **style)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        return _svg(figure, f"{label} over the steps of each arm")


def intervals(differences: Mapping[str, tuple[int, Difference]], label: str) -> str:
    """Draw the difference of each arm from the baseline with its interval.

    Args:
        differences: By arm, the place that is its colour, and the difference.
        label: What is drawn; the margin is shaded.

    Returns:
        An SVG element.
    """
    with mpl.rc_context(_SETTINGS):
        figure, axes = _figure(0.8 + 0.28 * len(differences))
        for row, (place, found) in enumerate(differences.values()):
            colour = _style(place)["color"]
            axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
            filled = colour if found.verdict == "real" else "none"
            axes.plot(found.value, row, "o", color=colour, markerfacecolor=filled)
        margin = max((found.margin for _, found in differences.values()), default=0.0)
        axes.axvspan(-margin, margin, color=_SOFT, alpha=0.15, linewidth=0)
        axes.axvline(0, color=_SOFT, linewidth=1)
        axes.set_yticks(range(len(differences)), labels=[_plain(name) for name in differences])
        axes.set_ylim(len(differences) - 0.5, -0.5)
        axes.set_xlabel(label)
        return _svg(figure, f"{label}, with intervals")


def scatter(
    arms: Mapping[str, tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]],
    labels: tuple[str, str],
    higher_is_better: tuple[bool, bool],
) -> str:
    """Draw the runs of each arm in two metrics, their means, and the Pareto front of the means.

    An arm is on the front if no other arm is at least as good in both metrics and better in one.

    Args:
        arms: The two metrics of each run, by arm, whose place is its colour; arms without runs are
            left out.
        labels: The names of the metrics.
        higher_is_better: Of each metric; the axis of one that is not is reversed, so that better is
            always up and to the right.

    Returns:
        An SVG element.
    """
    with mpl.rc_context(_SETTINGS):
        figure, axes = _figure(3.6)
        means = {}
        for place, (name, (x, y)) in enumerate(arms.items()):
            if len(x):
                colour, marker = _style(place)["color"], "o" if place < SERIES else "s"
                means[name] = (float(x.mean()), float(y.mean()))
                axes.plot(x, y, marker, color=colour, alpha=0.5, markersize=2)
                axes.plot(*means[name], marker, color=colour)
        front = sorted(means[name] for name in pareto_front(means, higher_is_better))
        axes.plot(*np.array(front).reshape(-1, 2).T, color=_SOFT, linewidth=1, linestyle=":")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.margins(0.12)
        if not higher_is_better[0]:
            axes.invert_xaxis()
        if not higher_is_better[1]:
            axes.invert_yaxis()
        return _svg(figure, f"{labels[1]} against {labels[0]}")


def pareto_front(
    means: Mapping[str, tuple[float, float]], higher_is_better: tuple[bool, bool]
) -> list[str]:
    """The arms that no other arm beats in both metrics.

    Example:
        >>> pareto_front({"a": (0.1, 0.3), "b": (0.2, 0.2), "c": (0.1, 0.2)}, (True, True))
        ['a', 'b']
    """
    signs = np.where(higher_is_better, 1, -1)
    points = {name: np.array(mean) * signs for name, mean in means.items()}
    return [
        name
        for name, own in points.items()
        if not any((other >= own).all() and (other > own).any() for other in points.values())
    ]


def _figure(height: float) -> tuple[Figure, Axes]:
    # Not pyplot, which keeps figures and may open a window.
    figure = Figure(figsize=(4.8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.locator_params(nbins=6)
    return figure, axes


def _style(place: int) -> dict[str, Any]:
    return {
        "color": f"#0f00{place % SERIES:02x}",
        "linestyle": "-" if place < SERIES else "--",
        "linewidth": 1.6,
    }


def _plain(text: str) -> str:
    """Text in which Matplotlib looks for no formula."""
    return text.replace("$", r"\$")


def _svg(figure: Figure, title: str) -> str:
    """The figure as an element of a page, with colours from its style."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "var(--ink)").replace(_SOFT, "var(--soft)")
    text = re.sub(r"#0f00([0-9a-f]{2})", lambda m: f"var(--series-{int(m[1], 16)})", text)
    # Matplotlib's style would be that of the whole page.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    # The page sets the width; a namespace is for files of their own.
    _, view, rest = re.split(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', text, maxsplit=1)
    return f'<svg viewBox="{view}" role="img" aria-label="{escape(title)}">{rest.strip()}'
