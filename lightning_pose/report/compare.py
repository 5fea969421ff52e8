"""The page of `lightning compare`: arms side by side, and what is claimed about them."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from lightning_pose.report.charts import SERIES, Curve, curves, intervals, scatter
from lightning_pose.report.comparison import ArmRuns, Comparison, sentence
from lightning_pose.report.measure import Measure
from lightning_pose.report.overview import overview, verdict
from lightning_pose.report.statistics import ENOUGH_SEEDS
from lightning_pose.report.style import STYLE

__all__ = ["MARK", "page"]

MARK = '<meta name="generator" content="lightning compare">'
"""What tells a page of this command from other files."""

_OWN_STYLE = """
:root { --series-0: #0b62c4; --series-1: #c2410c; --series-2: #15803d; --series-3: #a21caf;
  --series-4: #7c6a00; --series-5: #0e7490; --series-6: #be123c; --series-7: #57606a; }
@media (prefers-color-scheme: dark) { :root { --series-0: #79b8ff; --series-1: #ff9a62;
  --series-2: #5fd38a; --series-3: #e29bf0; --series-4: #f0c14b; --series-5: #5ccfe6;
  --series-6: #ff8fa3; --series-7: #b0b8c1; } }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
  gap: 1rem; }
.charts figure { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  max-width: 36rem; padding: 0.5rem; }
.charts svg { width: 100%; height: auto; display: block; stroke-linejoin: round; }
.charts text { font-family: system-ui, sans-serif !important; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; padding: 0; list-style: none; }
.legend span { display: inline-block; width: 1.5rem; border-top: 3px solid; margin-right: 0.4rem;
  vertical-align: middle; }
ul.claims { padding-left: 1.2rem; }
ul.claims li { margin: 0.25rem 0; overflow-wrap: anywhere; }
.real { font-weight: 600; }
.options td { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
"""


def page(comparison: Comparison, options: Mapping[str, Sequence[str]], title: str) -> str:
    """Write the comparison as one HTML page without other files.

    Args:
        comparison: The arms and what was found.
        options: The settings in which arms differ, with the value in each arm.
        title: What is compared.

    Returns:
        The page.
    """
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="verdict">{verdict(comparison)}</p></header>',
        *_missing(comparison),
        *_claims(comparison),
        "<h2>Metrics</h2><p>Mean and standard deviation over seeds. Each run is scored at its best "
        "checkpoint, which is chosen by the metric of its main head. In a joint model, the other "
        "heads may have been better at another step, which can put them at a disadvantage against "
        "a head trained alone.</p>",
        _table(*overview(comparison)),
        *_pareto(comparison),
        *_charts(
            comparison,
            "Learning curves",
            "The mean over seeds, and the band from the lowest to the highest.",
            {_column(m, comparison.metrics[m]): comparison.metrics[m] for m in comparison.judged},
        ),
        *_charts(
            comparison, "Weights of the heads", "As the weighting sets them.", _weights(comparison)
        ),
        "<h2>Cost</h2><p>Means over seeds; the seconds include validations, and runs that trained "
        "side by side waited for each other.</p>",
        _table(*_cost(comparison)),
        *_options(comparison, options),
        *_method(comparison),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{MARK}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{_OWN_STYLE}</style></head>"
        f"<body>{''.join(body)}<footer>lightning compare</footer></body></html>\n"
    )


def _missing(comparison: Comparison) -> Iterator[str]:
    """The runs that are left out."""
    failures = [(arm.name, text) for arm in comparison.arms for text in arm.failures]
    if failures:
        runs = "1 run is" if len(failures) == 1 else f"{len(failures)} runs are"
        yield f'<section class="wrong"><h3>{runs} left out</h3><ul class="claims">'
        yield from (f"<li>{escape(name)}: {escape(text)}</li>" for name, text in failures)
        yield "</ul></section>"


def _claims(comparison: Comparison) -> Iterator[str]:
    """For each judged metric, the differences from the baseline and a sentence on each."""
    places = {arm.name: place for place, arm in enumerate(comparison.arms)}
    for metric in comparison.judged:
        found = [one for one in comparison.found if one.metric == metric]
        drawn = {
            one.arm: (places[one.arm], one.difference)
            for one in found
            if one.difference is not None
        }
        yield f"<h2>{escape(metric)}</h2>"
        if drawn:
            direction = "higher" if comparison.metrics[metric].higher_is_better else "lower"
            name = comparison.metrics[metric].label(metric)
            label = f"{name}, difference from {comparison.baseline} ({direction} is better)"
            yield f'<div class="charts"><figure>{intervals(drawn, label)}</figure></div>'
        yield '<ul class="claims">'
        for one in found:
            kind = ' class="real"' if one.difference and one.difference.verdict == "real" else ""
            yield f"<li{kind}>{escape(sentence(one, comparison.baseline))}</li>"
        yield "</ul>"


def _pareto(comparison: Comparison) -> Iterator[str]:
    """The first two judged metrics against each other."""
    if len(comparison.judged) < 2:
        return
    vertical, horizontal = comparison.judged[:2]
    arms = {}
    for arm in comparison.arms:
        both = [[run.metrics.get(m, np.nan) for m in (horizontal, vertical)] for run in arm.runs]
        values = np.array(both, dtype=float).reshape(-1, 2)
        arms[arm.name] = tuple(values[np.isfinite(values).all(axis=1)].T)
    if not any(len(x) for x, _ in arms.values()):
        return
    one, other = (comparison.metrics[m] for m in (horizontal, vertical))
    labels = (one.label(horizontal), other.label(vertical))
    drawn = scatter(arms, labels, (one.higher_is_better, other.higher_is_better))
    yield (
        f"<h2>{escape(vertical)} against {escape(horizontal)}</h2><p>Small marks are runs, and "
        "large ones means (squares for arms with a dashed line); no arm is better in both metrics "
        f"than those on the dotted line.</p>{_legend(comparison)}"
        f'<div class="charts"><figure>{drawn}</figure></div>'
    )


def _charts(
    comparison: Comparison, heading: str, words: str, columns: Mapping[str, Measure]
) -> Iterator[str]:
    """A chart over the steps for each column of metrics.csv, with one legend."""
    drawn = {
        column: {arm.name: _curve(arm, column) for arm in comparison.arms} for column in columns
    }
    drawn = {k: arms for k, arms in drawn.items() if any(len(steps) for steps, _ in arms.values())}
    if drawn:
        yield f"<h2>{heading}</h2><p>{words}</p>{_legend(comparison)}"
        yield '<div class="charts">'
        for column, arms in drawn.items():
            yield f"<figure>{curves(arms, columns[column].label(column))}</figure>"
        yield "</div>"


def _column(metric: str, measure: Measure) -> str:
    """The column of metrics.csv that has a metric."""
    return f"val/loss/{metric.split('/')[0]}" if measure.loss else f"val/{metric}"


def _curve(arm: ArmRuns, column: str) -> Curve:
    rows = [run.curves.get(column, {}) for run in arm.runs]
    steps = sorted({step for row in rows for step in row})
    values = [[row.get(step, np.nan) for step in steps] for row in rows]
    return np.array(steps, dtype=float), np.array(values, dtype=float).reshape(
        len(rows), len(steps)
    )


def _weights(comparison: Comparison) -> dict[str, Measure]:
    """The columns of metrics.csv that hold the weights of the heads, which have no unit."""
    columns = (name for arm in comparison.arms for run in arm.runs for name in run.curves)
    return dict.fromkeys(sorted({n for n in columns if n.startswith("weight/")}), Measure())


def _legend(comparison: Comparison) -> str:
    items = []
    for place, arm in enumerate(comparison.arms):
        line = "solid" if place < SERIES else "dashed"
        style = f"border-top-color: var(--series-{place % SERIES}); border-top-style: {line}"
        items.append(f'<li><span style="{style}"></span>{escape(arm.name)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def _cost(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    rows = []
    for arm in comparison.arms:
        cells = ["-"] * 4
        if arm.runs:
            kinds = ("seconds", "steps", "epochs", "parameters")
            cells = [f"{np.mean([run.cost[kind] for run in arm.runs]):,.0f}" for kind in kinds]
        devices = ", ".join(sorted({run.device for run in arm.runs})) or "-"
        rows.append([arm.name, *cells, devices])
    return ["arm", "seconds", "steps", "epochs", "parameters", "device"], rows


def _options(comparison: Comparison, options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The settings in which arms differ, one row each."""
    if options:
        heads = ["setting", *(arm.name for arm in comparison.arms)]
        rows = [[key, *values] for key, values in options.items()]
        yield "<h2>What differs</h2>"
        yield _table(heads, rows).replace('class="wide"', 'class="wide options"', 1)


def _method(comparison: Comparison) -> Iterator[str]:
    yield (
        "<h2>How this was decided</h2><p>Both the seeds and the people are samples. An interval "
        "contains what the runs of each arm say about other seeds, and what resampling the "
        f"{comparison.people:,} people, the same ones in every arm, says about other people. "
        "Runs of two arms with the same seed count as independent, which can only widen the "
        "intervals where they are alike. All comparisons on this page are corrected together by "
        "Holm's method: if no arm differed, the chance of any claim would be 5 % at most.</p>"
        "<p><b>Real</b>: the corrected interval leaves out 0. <b>Noise</b>: it lies within the "
        f"margin of {comparison.margin:g} on both sides (of what does not go from 0 to 1, such as "
        "a loss, that share of the baseline's mean). <b>Not decided</b>: neither, or an arm has "
        f"fewer than {ENOUGH_SEEDS} seeds or too few labelled people. A head without a metric is "
        "compared by its unweighted loss.</p>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th>{escape(head)}</th>" for head in heads)
    text = [
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, *cells in rows
    ]
    return f'<div class="wide"><table><tr>{first}</tr>{"".join(text)}</table></div>'
