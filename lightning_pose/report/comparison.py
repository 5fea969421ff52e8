"""Arms of a study side by side: their runs, their means, and what is claimed about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from lightning_pose.errors import ConfigError
from lightning_pose.report.measure import Measure, distinguish
from lightning_pose.report.shares import Shares, resampled
from lightning_pose.report.statistics import ENOUGH_SEEDS, Difference, Scored, differences

__all__ = ["ArmRuns", "Compared", "Comparison", "FinishedRun", "compare", "sentence"]


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended.

    Attributes:
        name: The run's folder, for messages.
        seed: Its seed.
        config: Its config, as plain data.
        metrics: The metrics of its best checkpoint by "HEAD/METRIC"; some may be NaN.
        shares: What each person adds to a metric, for those of which it is known.
        curves: The columns of metrics.csv, by name and then by step.
        cost: Steps, epochs, seconds and parameters.
        device: What it ran on.
    """

    name: str
    seed: int
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    shares: Mapping[str, Shares]
    curves: Mapping[str, Mapping[int, float]]
    cost: Mapping[str, float]
    device: str


@dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm.

    Attributes:
        name: The name of the arm.
        runs: Those that have ended.
        failures: A sentence for each of the others.
        measures: The declared metrics by "HEAD/METRIC".
    """

    name: str
    runs: tuple[FinishedRun, ...]
    failures: tuple[str, ...] = ()
    measures: Mapping[str, Measure] = field(default_factory=dict)

    def values(self, metric: str) -> Float[np.ndarray, " S"]:
        """A metric of each run that has it."""
        found = (run.metrics.get(metric, np.nan) for run in self.runs)
        return np.array([value for value in found if np.isfinite(value)], dtype=float)


@dataclass(frozen=True)
class Compared:
    """What is said about one metric of an arm and the baseline.

    Attributes:
        arm: The arm.
        metric: The metric, "HEAD/METRIC".
        measure: Its unit and direction.
        difference: How much higher the metric is in the arm; None if they cannot be compared.
        reason: Why they cannot.
    """

    arm: str
    metric: str
    measure: Measure
    difference: Difference | None
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """Everything that the table and the page show.

    Attributes:
        arms: The arms in order.
        baseline: The arm that the others are compared with.
        metrics: All metrics, by "HEAD/METRIC".
        judged: Those on which something is claimed.
        margin: The largest difference of a fraction that does not matter.
        people: How many people the runs were scored on.
        found: What is said about each other arm and judged metric.
    """

    arms: tuple[ArmRuns, ...]
    baseline: str
    metrics: Mapping[str, Measure]
    judged: tuple[str, ...]
    margin: float
    people: int
    found: tuple[Compared, ...]


def compare(
    arms: Sequence[ArmRuns],
    baseline: str | None = None,
    judged: Sequence[str] = (),
    margin: float = 0.01,
) -> Comparison:
    """Compare every arm with the baseline.

    Args:
        arms: The arms; all runs were scored on the same people.
        baseline: The name of the baseline; by default the first arm with a run.
        judged: The metrics to claim something about, "HEAD/METRIC"; by default the first one of
            each head that has a value, and of a head without a metric its loss, if all arms define
            it alike.
        margin: The largest difference that does not matter: of a fraction, this number, and of
            any other metric or a loss, this share of the baseline's mean.

    Returns:
        The comparison.

    Raises:
        ConfigError: No run has ended, there is no such arm or metric, or arms define a metric that
            is judged differently.
    """
    ended = [arm.name for arm in arms if arm.runs]
    if not ended:
        reasons = [sentence for arm in arms for sentence in arm.failures]
        raise ConfigError(
            "Expected at least one run that has ended, found none"
            f"{f' ({reasons[0]})' if reasons else ''}; train the arms first."
        )
    if baseline not in (None, *ended):
        raise ConfigError(
            f"Expected the baseline to be one of {', '.join(ended)}, found {baseline!r}; correct "
            "--baseline."
        )
    metrics = {name: one for arm in arms for name, one in arm.measures.items()}
    for name in judged:
        if name not in metrics:
            raise ConfigError(
                f"Expected a metric of the runs ({', '.join(metrics)}), found {name!r}; correct "
                "--metric."
            )
    first: dict[str, str] = {}
    for name in metrics:
        if any(len(arm.values(name)) for arm in arms):
            first.setdefault(name.split("/")[0], name)
    # An arm may have another target on purpose, such as a higher scale.
    alike = (name for name in first.values() if not metrics[name].loss or _alike(arms, name))
    chosen = tuple(judged) or tuple(alike)
    for name in chosen:
        _check_definitions(arms, name)
    by_name = {arm.name: arm for arm in arms}
    baseline = baseline or ended[0]
    found = _compared(by_name, baseline, {name: metrics[name] for name in chosen}, margin)
    counts = [len(s.sums) for arm in arms for run in arm.runs for s in run.shares.values()]
    people = counts[0] if counts else 0
    return Comparison(tuple(arms), baseline, metrics, chosen, margin, people, found)


def _alike(arms: Sequence[ArmRuns], metric: str) -> bool:
    """Whether all arms that have a metric define it alike."""
    return len({arm.measures[metric] for arm in arms if metric in arm.measures}) == 1


def _check_definitions(arms: Sequence[ArmRuns], metric: str) -> None:
    """Refuse a metric that is something else in another arm."""
    known = {arm.name: arm.measures[metric] for arm in arms if metric in arm.measures}
    first = next(iter(known))
    for name, one in known.items():
        if one != known[first]:
            theirs, ours = distinguish([known[first], one])
            raise ConfigError(
                f"Expected one definition of {metric} in all arms, found {theirs} in {first} and "
                f"{ours} in {name}; compare arms with the same metrics, or choose other metrics "
                "with --metric."
            )


def _compared(
    arms: Mapping[str, ArmRuns], baseline: str, judged: Mapping[str, Measure], margin: float
) -> tuple[Compared, ...]:
    """Each arm against the baseline in each metric, corrected for all of them together."""
    keys = [(name, metric) for metric in judged for name in arms if name != baseline]
    scored = {metric: _scored(arms, metric) for metric in judged}
    pairs, margins = {}, {}
    for name, metric in keys:
        if name in scored[metric] and baseline in scored[metric]:
            pairs[name, metric] = (scored[metric][name], other := scored[metric][baseline])
            mean = abs(float(other.values.mean()))
            margins[name, metric] = margin * (1.0 if judged[metric].fraction else mean)
    known = differences(list(pairs.values()), list(margins.values()))
    found = dict(zip(pairs, known, strict=True))
    return tuple(
        Compared(name, metric, judged[metric], found[name, metric])
        if (name, metric) in found
        else Compared(name, metric, judged[metric], None, _reason(arms, (name, baseline), metric))
        for name, metric in keys
    )


def _reason(arms: Mapping[str, ArmRuns], names: tuple[str, str], metric: str) -> str:
    """Why two arms cannot be compared in a metric."""
    for name in names:
        if not arms[name].runs:
            return f"no run of {name} has ended"
        if not len(arms[name].values(metric)):
            return f"{name} has no value"
    return "the values of the people do not give this metric"


def _scored(arms: Mapping[str, ArmRuns], metric: str) -> dict[str, Scored]:
    """The metric of each arm in which the people give it, over the same resamples."""
    runs = {
        name: [run for run in arm.runs if np.isfinite(run.metrics.get(metric, np.nan))]
        for name, arm in arms.items()
    }
    known = {n: some for n, some in runs.items() if some and all(metric in r.shares for r in some)}
    if not known:
        return {}
    drawn = resampled([run.shares[metric] for some in known.values() for run in some])
    found, start = {}, 0
    for name, some in known.items():
        values = np.array([run.metrics[metric] for run in some], dtype=float)
        people = min(run.shares[metric].people for run in some)
        found[name] = Scored(values, drawn[start : start + len(some)], people)
        start += len(some)
    return found


def sentence(compared: Compared, baseline: str) -> str:
    """What is said about one metric of an arm.

    Args:
        compared: The arm and the difference.
        baseline: The arm that it is compared with.

    Returns:
        One sentence, which ends in the verdict.

    Example:
        >>> found = Difference(0.031, 0.012, 0.05, 0.004, 5, 0.01, "real")
        >>> sentence(Compared("dwa", "joints/PCKh", Measure(), found), "equal")
        'dwa: joints/PCKh is better than in equal by 0.031 (0.012 to 0.050): real.'
    """
    start = f"{compared.arm}: {compared.metric}"
    found = compared.difference
    if found is None:
        return f"{start} is not compared with {baseline}: {compared.reason}."
    digits = compared.measure.digits(max(abs(found.value), found.margin))
    up = found.value >= 0
    word = "better" if up == compared.measure.higher_is_better else "worse"
    shown = f"{abs(found.value):.{digits}f} {compared.measure.unit}".rstrip()
    low, high = (found.low, found.high) if up else (-found.high, -found.low)
    between = "" if np.isnan(low) else f" ({low:.{digits}f} to {high:.{digits}f})"
    how = f"{word} than in {baseline} by {shown}" if found.value else f"as good as in {baseline}"
    text = f"{start} is {how}{between}"
    if found.verdict == "real":
        return f"{text}: real."
    if found.verdict == "noise":
        return f"{text}: noise, within the margin of {found.margin:.{digits}f}."
    if found.seeds < ENOUGH_SEEDS:
        seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
        return f"{text}: not decided: {seeds}; {ENOUGH_SEEDS} are needed."
    if np.isnan(found.p):
        return f"{text}: not decided: too few labelled people."
    return f"{text}: not decided."
