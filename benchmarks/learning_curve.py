"""A metric against training time, from the events that `fit` writes for TensorBoard.

    python benchmarks/learning_curve.py RUN [RUN ...] [--metric val/coordinates/RMSE]

Prints, for each validation of each run, the minutes since the run began, which include loading and
all validations so far, the optimiser step, and the metric. TensorBoard draws the same with
"Relative" as its horizontal axis. metrics.csv has no times, so that it is the same for two runs
with one seed.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_pose.errors import DataError


class Point(NamedTuple):
    """One validation: minutes since the run began, optimiser step, and the metric."""

    minutes: float
    step: int
    value: float


def read_curve(run: Path, metric: str) -> list[Point]:
    """The values of a metric in the order of the validations.

    Args:
        run: The run's folder.
        metric: The name under which it was logged.

    Returns:
        One point per validation.

    Raises:
        DataError: There are no events in the folder, or none of this metric.
    """
    events = EventAccumulator(str(run)).Reload()
    known = [name for name in events.Tags()["scalars"] if name.startswith("val/")]
    if metric not in known:
        raise DataError(
            f"Expected events of {metric} in {run}, found {', '.join(known) or 'none'}; choose "
            "another --metric, or the folder of a run."
        )
    start = events.FirstEventTimestamp()
    found = events.Scalars(metric)
    return [Point((event.wall_time - start) / 60, event.step, event.value) for event in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--metric", default="val/main", help="the name of the metric")
    options = parser.parse_args()
    for run in options.runs:
        print(f"{run}  {options.metric}\n{'minutes':>8} {'step':>8} {'value':>10}")
        for point in read_curve(run, options.metric):
            print(f"{point.minutes:8.2f} {point.step:8} {point.value:10.4f}")


if __name__ == "__main__":
    main()
