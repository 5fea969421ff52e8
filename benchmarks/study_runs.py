"""The ended runs of a study, and figures of them with their spread over seeds."""

import csv
import itertools
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.mean_pose import MeanPose, compare, read_run
from lightning_pose.runs import RESULT

__all__ = [
    "MEAN_POSE",
    "PEOPLE",
    "TRAINING_PEOPLE",
    "Figure",
    "Run",
    "Runs",
    "Values",
    "at_best",
    "at_end",
    "compare",
    "decide",
    "decide_pairs",
    "read_runs",
]

PEOPLE = 8500
"""How many people train."""

MEAN_POSE = "mean_pose.json"
"""What `keep_runs.py` keeps of the predictions of a run."""

TRAINING_PEOPLE = "training_people.json"
"""What `training_people.py` writes into a run."""


class Run:
    """A run that has ended.

    Args:
        folder: Its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its resolved config."""
        return yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The rows of metrics.csv."""
        with (self.folder / "metrics.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @cached_property
    def poses(self) -> MeanPose:
        """Its predictions beside the truth and the mean pose."""
        kept = self.folder / MEAN_POSE
        if kept.is_file():
            columns = json.loads(kept.read_text(encoding="utf-8"))
            return MeanPose(**{name: np.array(values) for name, values in columns.items()})
        people, _ = read_run(self.folder, None)
        return compare(people)

    @cached_property
    def trained(self) -> dict[str, dict[str, float]]:
        """Metrics of "best" and "last" on training people; empty where none were scored."""
        path = self.folder / TRAINING_PEOPLE
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def last_on_training_people(self, key: str) -> float:
        """A metric of last.ckpt on training people, NaN if they were not scored."""
        return self.trained["last"][key] if self.trained else math.nan

    def curve(self, key: str) -> list[tuple[int, float]]:
        """Every row that has a key: how many steps were made, from 1, and the value."""
        # Rows count steps from 0.
        return [(int(row["step"]) + 1, float(row[key])) for row in self.rows if row.get(key)]

    def at(self, key: str, step: float) -> float:
        """A validated column after a number of steps, linear between two validations.

        NaN before the first validation.
        """
        steps, values = zip(*self.curve(key), strict=True)
        return float(np.interp(step, steps, values, left=math.nan))

    def epochs(self, steps: float, people: int) -> float:
        """Epochs of so many training people after a number of steps."""
        return steps * self.config["data"]["init_args"]["batch_size"] / people

    def steps_to(self, key: str, goal: float) -> float:
        """Steps until a validated column reaches a value, linear between two validations.

        NaN if it never does.
        """
        curve = [(0, -math.inf), *self.curve(key)]
        for (before, low), (after, high) in itertools.pairwise(curve):
            if high >= goal:
                missing = 0.0 if low == -math.inf else (high - goal) / (high - low)
                return after - missing * (after - before)
        return math.nan

    def in_epochs(self, key: str, first: int, last: int) -> float:
        """The mean of a column over epochs, which count from 1, `last` included."""
        return statistics.fmean(
            float(row[key])
            for row in self.rows
            if row.get(key) and first <= int(row["epoch"]) + 1 <= last
        )

    def best(self, key: str) -> float:
        """A column of metrics.csv at the validation that best.ckpt is of."""
        # The first of equals is kept, as in BestCheckpoint.
        rows = [row for row in self.rows if row.get("val/main")]
        return float(max(rows, key=lambda row: float(row["val/main"]))[key])


Runs = Mapping[str, Sequence[Run]]
"""The ended runs by arm, in the order of their seeds."""


@dataclass(frozen=True)
class Figure:
    """A number of a run.

    Attributes:
        name: What it is.
        of: Reads it.
        digits: How many decimals to write.
        key: Its column of metrics.csv if it is one of best.ckpt.
    """

    name: str
    of: Callable[[Run], float]
    digits: int = 3
    key: str | None = None


@dataclass(frozen=True)
class Values:
    """A figure of all runs of an arm.

    Attributes:
        values: One per seed.
        digits: How many decimals to write.
    """

    values: tuple[float, ...]
    digits: int

    @classmethod
    def read(cls, figure: Figure, runs: Sequence[Run]) -> "Values":
        """Read the figure of each run."""
        return cls(tuple(figure.of(run) for run in runs), figure.digits)

    @property
    def median(self) -> float:
        """The median over seeds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The range over seeds."""
        return max(self.values) - min(self.values)

    def __str__(self) -> str:
        if not self.values:
            return "no run has ended"
        known = [value for value in self.values if math.isfinite(value)]
        if not known:
            return "none"
        low, middle, high = (
            f"{value:.{self.digits}f}"
            for value in (min(known), statistics.median(known), max(known))
        )
        text = middle if len(known) == 1 else f"{middle} ({low} to {high})"
        missing = len(self.values) - len(known)
        return f"{text}, {missing} without" if missing else text

    @property
    def is_known(self) -> bool:
        """Whether every run has the figure."""
        return all(map(math.isfinite, self.values))


def at_best(metric: str, name: str, digits: int = 3) -> Figure:
    """A metric of best.ckpt, by "HEAD/METRIC" or "loss/HEAD"."""
    key = f"val/{metric}"
    return Figure(name, lambda run: run.best(key), digits, key)


def at_end(key: str, name: str, digits: int = 3, last: int = 1) -> Figure:
    """The mean of the last values of a column of metrics.csv."""
    return Figure(
        name, lambda run: statistics.fmean([value for _, value in run.curve(key)][-last:]), digits
    )


def decide(first: Values, second: Values) -> tuple[int | None, str]:
    """Which of two figures is higher, by the rule that the page states.

    Returns:
        1 if it is the first, -1 if the second, 0 without a clear difference, and None with fewer
        than three seeds; and the numbers that say so.
    """
    if min(len(first.values), len(second.values)) < 3:
        return None, "fewer than 3 seeds"
    if not (first.is_known and second.is_known):
        return None, "a run has no such figure"
    return _beyond(first.median - second.median, max(first.spread, second.spread), first.digits)


def decide_pairs(first: Values, second: Values) -> tuple[int | None, str]:
    """The same for figures that belong to each other, seed by seed."""
    if len(first.values) < 3:
        return None, "fewer than 3 seeds"
    if not (first.is_known and second.is_known):
        return None, "a run has no such figure"
    pairs = zip(first.values, second.values, strict=True)
    differences = Values(tuple(one - other for one, other in pairs), first.digits)
    return _beyond(differences.median, differences.spread, first.digits)


def _beyond(difference: float, spread: float, digits: int) -> tuple[int, str]:
    # One decimal more, so that a difference is not written like a range that it exceeds.
    numbers = f"difference {difference:+.{digits + 1}f}, range {spread:.{digits + 1}f}"
    return int(difference > spread) - int(difference < -spread), numbers


def read_runs(folder: Path, arms: Sequence[str]) -> dict[str, list[Run]]:
    """The ended runs of a study.

    Args:
        folder: The folder of the study.
        arms: The names of its arms.

    Returns:
        The runs by arm, empty for an arm of which none has ended.
    """
    return {
        arm: [Run(path.parent) for path in sorted((folder / arm).glob(f"seed_*/{RESULT}"))]
        for arm in arms
    }
