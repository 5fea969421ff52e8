"""Whether two arms of a study differ: seeds and people as two sources of chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

__all__ = ["ENOUGH_SEEDS", "Difference", "Scored", "Verdict", "differences"]

ENOUGH_SEEDS = 5
"""The seeds that each arm needs before a difference is claimed or ruled out."""

Verdict = Literal["real", "noise", "not decided"]
"""There is a difference; there is none beyond the margin; or these runs cannot tell."""


@dataclass(frozen=True)
class Scored:
    """One metric of the runs of one arm.

    Attributes:
        values: The metric of each run over all people, finite.
        resampled: The same over R resamples of the people, which are the same for every run; NaN
            for a resample without labelled people.
        people: The number of labelled people.
    """

    values: Float[np.ndarray, " S"]
    resampled: Float[np.ndarray, "S R"]
    people: int


@dataclass(frozen=True)
class Difference:
    """How much higher a metric is in one arm than in another.

    Attributes:
        value: The difference of the means over seeds.
        low: The lower end of the interval, NaN where there is none.
        high: The upper end.
        p: The probability of such a difference between equal arms, corrected for the number of
            comparisons; NaN where there is none.
        seeds: The number of runs of the arm that has fewer.
        margin: The largest difference that does not matter.
        verdict: What follows.
    """

    value: float
    low: float
    high: float
    p: float
    seeds: int
    margin: float
    verdict: Verdict


def differences(
    pairs: Sequence[tuple[Scored, Scored]], margins: Sequence[float], level: float = 0.05
) -> list[Difference]:
    """Compare arms in pairs, and correct for the number of comparisons.

    Both the seeds and the people are samples. The variance of a difference is that of the two means
    over seeds, estimated from the runs (Welch), plus what the people add: the variance over
    resampled people (Efron's bootstrap, the same people in both arms, because arms are scored on
    the same ones), less the part of it that differs from run to run, which the seeds contain
    already. If some resample has no labelled people, there are too few of them, and nothing is
    decided. The quantiles are those of Student's t, with Satterthwaite's degrees of freedom: the
    percentiles of resampled seeds would be too narrow with as few as five, which
    `benchmarks/null_studies.py` measures. Seeds of two arms count as independent: where arms share
    their seeds, differences only become less variable.

    Holm's method (1979) corrects for the number of comparisons: if all arms are equal, any claim
    is made with a probability of at most `level`. An interval is at the level at which that method
    tests its comparison, so it leaves out 0 exactly where a difference is claimed.

    A difference is "real" if Holm's method claims it, and "noise" if the whole interval is within
    the margin; otherwise, or with fewer than `ENOUGH_SEEDS` runs in an arm, it is "not decided".

    Args:
        pairs: An arm and the arm that it is compared with, for each comparison.
        margins: The largest difference that does not matter, for each comparison.
        level: The probability of any false claim.

    Returns:
        For each pair, how much higher the metric is in the first arm.

    Example:
        >>> people = np.zeros((5, 1))
        >>> arm = Scored(np.array([0.64, 0.65, 0.66, 0.65, 0.65]), people, 100)
        >>> other = Scored(np.array([0.60, 0.61, 0.62, 0.61, 0.61]), people, 100)
        >>> (found,) = differences([(arm, other)], [0.01])
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3), found.verdict
        (0.04, 0.03, 0.05, 'real')
    """
    values = [float(arm.values.mean() - other.values.mean()) for arm, other in pairs]
    errors = [_error(arm, other) for arm, other in pairs]
    p = [_p(value, *error) for value, error in zip(values, errors, strict=True)]
    divisors, adjusted, claimed = _holm(p, level)
    found = []
    for n, (arm, other) in enumerate(pairs):
        error, freedom = errors[n]
        reach = float(student.isf(level / (2 * divisors[n]), freedom)) * error if error else error
        low, high = values[n] - reach, values[n] + reach
        seeds = min(len(arm.values), len(other.values))
        verdict: Verdict = "not decided"
        if seeds >= ENOUGH_SEEDS and claimed[n]:
            verdict = "real"
        elif seeds >= ENOUGH_SEEDS and -margins[n] <= low and high <= margins[n]:
            verdict = "noise"
        found.append(Difference(values[n], low, high, adjusted[n], seeds, margins[n], verdict))
    return found


def _error(arm: Scored, other: Scored) -> tuple[float, float]:
    """The standard error of the difference of two arms, and its degrees of freedom."""
    if min(len(arm.values), len(other.values)) < 2:
        return np.nan, np.nan
    seeds = [one.values.var(ddof=1) / len(one.values) for one in (arm, other)]
    draws = arm.resampled.mean(axis=0) - other.resampled.mean(axis=0)
    others = min(arm.people, other.people) - 1
    if others < 1 or not np.isfinite(draws).all():
        return np.nan, np.nan
    people = draws.var() - _from_run_to_run(arm) - _from_run_to_run(other)
    # Resamples of n people vary by (n - 1) / n of what n other people would.
    own = max(0.0, people * (others + 1) / others)
    variance = sum(seeds) + own
    uncertain = sum(v**2 / (len(o.values) - 1) for v, o in zip(seeds, (arm, other), strict=True))
    uncertain += own**2 / others
    return float(np.sqrt(variance)), float(variance**2 / uncertain) if uncertain else np.inf


def _from_run_to_run(arm: Scored) -> float:
    """How much of the people's variance of an arm's mean is in its runs, not in the arm."""
    deviations = arm.resampled - arm.resampled.mean(axis=0)
    return float(deviations.var(axis=1).mean() / (len(arm.values) - 1))


def _p(value: float, error: float, freedom: float) -> float:
    """The probability of a difference at least as large between equal arms, without correction."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * student.sf(abs(value) / error, freedom))


def _holm(p: Sequence[float], level: float) -> tuple[list[float], list[float], list[bool]]:
    """By what Holm's method divides the level for each p, the corrected p, and what is claimed.

    A comparison without a p is none.
    """
    order = sorted((n for n in range(len(p)) if not np.isnan(p[n])), key=lambda n: p[n])
    divisors, adjusted, claimed = [1.0] * len(p), [np.nan] * len(p), [False] * len(p)
    going, divisor, highest = True, float(len(order)), 0.0
    for left, n in zip(range(len(order), 0, -1), order, strict=True):
        # After the first that is not claimed, nothing is, and the level stays.
        divisor = float(left) if going else divisor
        going = claimed[n] = going and p[n] <= level / left
        highest = max(highest, min(1.0, left * p[n]))
        divisors[n], adjusted[n] = divisor, highest
    return divisors, adjusted, claimed
