"""The ended runs of a study, and figures of them with their spread over seeds."""

import csv
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mean_pose import MeanPose, compare, read_run
from lightning_pose.runs import RESULT

__all__ = [
    "MEAN_POSE",
    "Figure",
    "Run",
    "Runs",
    "Values",
    "at_best",
    "at_end",
    "compare",
    "read_runs",
]

MEAN_POSE = "mean_pose.json"
"""What `keep_runs.py` keeps of the predictions of a run."""


class Run:
    """A run that has ended.

    Args:
        folder: Its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))

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

    def curve(self, key: str) -> list[tuple[int, float]]:
        """The step and the value of every row that has a key."""
        return [(int(row["step"]), float(row[key])) for row in self.rows if row.get(key)]

    def best(self, key: str, before: float = math.inf) -> float:
        """A column of metrics.csv at the validation that best.ckpt is of.

        Args:
            key: The column.
            before: As if the training had ended after so many steps.

        Returns:
            The value, NaN without a validation.
        """
        # Rows count steps from 0. The first of equals is kept, as in BestCheckpoint.
        rows = [row for row in self.rows if row.get("val/main") and int(row["step"]) < before]
        best = max(rows, key=lambda row: float(row["val/main"]), default={key: "nan"})
        return float(best[key])


Runs = Mapping[str, Sequence[Run]]
"""The ended runs by arm, in the order of their seeds."""


@dataclass(frozen=True)
class Figure:
    """A number of a run.

    Attributes:
        name: What it is.
        of: Reads it.
        digits: How many decimals to write.
    """

    name: str
    of: Callable[[Run], float]
    digits: int = 3


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
        low, middle, high = (
            f"{value:.{self.digits}f}"
            for value in (min(self.values), self.median, max(self.values))
        )
        return middle if len(self.values) == 1 else f"{middle} ({low} to {high})"


def at_best(metric: str, name: str, digits: int = 3, before: float = math.inf) -> Figure:
    """A metric of best.ckpt, by "HEAD/METRIC" or "loss/HEAD"; see `Run.best`."""
    return Figure(name, lambda run: run.best(f"val/{metric}", before), digits)


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
    difference = first.median - second.median
    spread = max(first.spread, second.spread)
    numbers = f"difference {difference:+.{first.digits}f}, range {spread:.{first.digits}f}"
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
