"""A comparison of arms in a sentence and a table, for the terminal and for the page."""

import numpy as np

from lightning_pose.report.comparison import Comparison
from lightning_pose.report.measure import Measure, distinguish

__all__ = ["overview", "spread", "verdict"]


def verdict(comparison: Comparison) -> str:
    """The result in one sentence.

    Args:
        comparison: The arms and what was found.

    Returns:
        How many comparisons are real, noise and not decided.
    """
    found = [one.difference.verdict for one in comparison.found if one.difference is not None]
    if not found:
        return "Nothing can be compared."
    counts = (found.count("real"), found.count("noise"), found.count("not decided"))
    of = "1 comparison" if len(found) == 1 else f"{len(found)} comparisons"
    return f"Of {of}, {counts[0]} real, {counts[1]} noise, {counts[2]} not decided."


def overview(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """The mean and the spread of every metric over the seeds of each arm.

    Args:
        comparison: The arms.

    Returns:
        The heads of the columns, and the cells of each row.
    """
    # A metric that arms define differently has a column for each definition.
    columns: list[tuple[str, Measure]] = []
    heads = []
    for metric in comparison.metrics:
        known = (arm.measures[metric] for arm in comparison.arms if metric in arm.measures)
        measures = list(dict.fromkeys(known))
        for one, words in zip(measures, distinguish(measures), strict=True):
            columns.append((metric, one))
            heads.append(", ".join(filter(None, (one.label(metric), words))))
    rows = []
    for arm in comparison.arms:
        cells = [
            spread(arm.values(metric), one, len(arm.runs))
            if arm.measures.get(metric) == one
            else "-"
            for metric, one in columns
        ]
        rows.append([arm.name, str(len(arm.runs)), *cells])
    return ["arm", "seeds", *heads], rows


def spread(values: np.ndarray, measure: Measure, runs: int) -> str:
    """The mean and the standard deviation over seeds, "-" without a value.

    Args:
        values: The value of each run that has one.
        measure: What they are.
        runs: How many runs there are, which is only said if some have no value.

    Example:
        >>> spread(np.array([0.5, 0.6]), Measure(), 2), spread(np.array([0.5]), Measure(), 3)
        ('0.550 ± 0.071', '0.500 (1 of 3 seeds)')
    """
    if not len(values):
        return "-"
    digits = measure.digits(values.mean() / 10)
    text = f"{values.mean():.{digits}f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1):.{digits}f}"
    return text if len(values) == runs else f"{text} ({len(values)} of {runs} seeds)"
