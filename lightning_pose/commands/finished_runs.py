"""Run folders that have ended, read as arms for `lightning compare`."""

import csv
import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_pose import checkpoint, parts
from lightning_pose.commands.configs import read_config
from lightning_pose.errors import ConfigError, DataError, InputError
from lightning_pose.metrics import PoseMetric
from lightning_pose.report.comparison import ArmRuns, FinishedRun, Measure
from lightning_pose.report.shares import shares
from lightning_pose.task import Task

__all__ = ["differing_options", "read_runs", "read_study"]

_OF_ONE_RUN = ("seed_everything", "experiment", "run", "trainer.default_root_dir", "threads")
"""Keys of a config that may differ between the runs of an arm."""

_COST = ("seconds", "steps", "epochs", "parameters")
_IDENTITY = ("person_id", "keypoints", "visibility")


class _Reader:
    """Reads runs of the same people."""

    def __init__(self, allow: Sequence[str]) -> None:
        self.allow = allow
        self.first: tuple[Path, dict[str, np.ndarray]] | None = None

    def arm(self, name: str, folders: Sequence[Path]) -> ArmRuns:
        """Read the runs of an arm; those that cannot be used are failures.

        Raises:
            DataError: A run was scored on other people than the first one.
            ConfigError: Two runs have the same seed.
        """
        runs: list[FinishedRun] = []
        sentences: list[str] = []
        declared: dict[str, PoseMetric] | None = None
        for folder in folders:
            try:
                _check_ended(folder)
                # The runs of an arm have the same settings, and checkpoints are large.
                declared = self._declared(folder) if declared is None else declared
                run, columns = _read(folder, declared)
            except InputError as error:
                sentences.append(str(error))
                continue
            self._check_people(folder, columns)
            if same := [other.name for other in runs if other.seed == run.seed]:
                raise ConfigError(
                    f"Expected runs of different seeds in the arm {name}, found seed {run.seed} in "
                    f"{same[0]} and {folder}; leave one of them out."
                )
            runs.append(run)
        measures = {
            key: Measure(metric.unit, bool(metric.higher_is_better))
            for key in (runs[0].metrics if runs else ())
            if (metric := (declared or {}).get(key.split("/")[1])) is not None
        }
        return ArmRuns(name, tuple(runs), tuple(sentences), measures)

    def _declared(self, folder: Path) -> dict[str, PoseMetric]:
        """The metrics of a run's model, which know its joints."""
        path = folder / "best.ckpt"
        if not path.is_file():
            raise DataError(
                f"Expected best.ckpt, which says how metrics are averaged, in {folder}, found "
                "none; copy the whole run."
            )
        spec = checkpoint.read_spec(path, self.allow)
        metrics = {name: parts.rebuild(part, PoseMetric) for name, part in spec.metrics.items()}
        for metric in metrics.values():
            metric.build(Task(spec.skeleton, spec.input_spec, spec.labels))
        return metrics

    def _check_people(self, folder: Path, columns: Mapping[str, np.ndarray]) -> None:
        ours = {name: columns[name] for name in _IDENTITY}
        if self.first is None:
            self.first = (folder, ours)
        other, theirs = self.first
        for name, column in ours.items():
            if not np.array_equal(column, theirs[name]):
                what = "people" if name == "person_id" else "labels"
                raise DataError(
                    f"Expected runs that were scored on the same people, found other {what} in "
                    f"{folder} than in {other}; compare runs of one validation split."
                )


def read_study(folder: Path, allow: Sequence[str] = ()) -> list[ArmRuns]:
    """Read the runs of `lightning study`.

    Args:
        folder: The folder of the study.
        allow: Packages of which a checkpoint may import classes.

    Returns:
        The arms in the order of the study; runs that died or are missing are failures.

    Raises:
        ConfigError: It is not the folder of a study.
        DataError: Two runs were scored on different people.
    """
    path = folder / "study.json"
    if not path.is_file():
        raise ConfigError(
            f"Expected the folder of a study, found no study.json in {folder}; give the folder "
            "that lightning study wrote, or name runs."
        )
    names = list(_json(path).get("arms") or {})
    # A run that failed before its first step has a log, but no folder.
    entries = [entry.name for name in names for entry in (folder / name).glob("seed_*")]
    found = (re.fullmatch(r"seed_(\d+)(\.log)?", entry) for entry in entries)
    seeds = sorted({int(match[1]) for match in found if match})
    reader = _Reader(allow)
    return [reader.arm(name, [folder / name / f"seed_{seed}" for seed in seeds]) for name in names]


def read_runs(folders: Sequence[Path], allow: Sequence[str] = ()) -> list[ArmRuns]:
    """Read runs; those whose configs differ in nothing but the seed are an arm.

    Args:
        folders: Their folders.
        allow: Packages of which a checkpoint may import classes.

    Returns:
        The arms in the order of their first runs, named after the experiment, with a number where
        several arms are of one experiment.

    Raises:
        ConfigError: A folder is not that of a run, or two runs of an arm have the same seed.
        DataError: Two runs were scored on different people.
    """
    groups: dict[str, tuple[str, list[Path]]] = {}
    for folder in folders:
        if not (folder / "config.yaml").is_file():
            raise ConfigError(
                f"Expected the folder of a run, found no config.yaml in {folder}; check the path."
            )
        config = read_config(folder / "config.yaml")
        shared = {key: value for key, value in _flat(config).items() if key not in _OF_ONE_RUN}
        experiment = str(config.get("experiment") or folder.resolve().parent.name)
        key = json.dumps([experiment, shared], sort_keys=True, default=str)
        groups.setdefault(key, (experiment, []))[1].append(folder)
    experiments = [experiment for experiment, _ in groups.values()]
    reader = _Reader(allow)
    arms = []
    for number, (experiment, own) in enumerate(groups.values()):
        before = experiments[:number].count(experiment)
        alone = experiments.count(experiment) == 1
        arms.append(reader.arm(experiment if alone else f"{experiment} {before + 1}", own))
    return arms


def differing_options(arms: Sequence[ArmRuns]) -> dict[str, list[str]]:
    """The settings in which arms differ.

    Args:
        arms: The arms.

    Returns:
        By dotted key, the value in each arm; "-" where it is not set or no run has ended.
    """
    found = [_flat(arm.runs[0].config) if arm.runs else None for arm in arms]
    keys = {key: None for settings in found for key in settings or () if key not in _OF_ONE_RUN}
    rows = {}
    for key in keys:
        values = [None if settings is None else settings.get(key) for settings in found]
        if len({str(v) for v, settings in zip(values, found, strict=True) if settings}) > 1:
            rows[key] = ["-" if value is None else str(value) for value in values]
    return rows


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings of a config by dotted key, without null ones and without `init_args`.

    Example:
        >>> _flat({"model": {"class_path": "A", "init_args": {"width": 4, "depth": None}}})
        {'model.class_path': 'A', 'model.width': 4}
    """
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            found |= _flat(value, prefix if name == "init_args" else f"{key}.")
        elif value is not None:
            found[key] = value
    return found


def _check_ended(folder: Path) -> None:
    if (folder / "result.json").is_file():
        return
    log = folder.with_suffix(".log")
    act = "train it to its end."
    if log.is_file():
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
        act = f"the last line of {log} is: {lines[-1].strip()[:300] if lines else 'none'}"
    raise DataError(f"Expected a run that has ended in {folder}, found no result.json; {act}")


def _read(
    folder: Path, declared: Mapping[str, PoseMetric]
) -> tuple[FinishedRun, Mapping[str, np.ndarray]]:
    """One run, and the columns of its predictions."""
    result, config = _json(folder / "result.json"), read_config(folder / "config.yaml")
    columns = _columns(folder / "predictions.npz")
    try:
        metrics = {
            str(key): float(value)
            for key, value in result["metrics"].items()
            if key.count("/") == 1
        }
        cost = {name: float(result[name]) for name in _COST}
        device = str(result["device"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected metrics and cost of a run in {folder / 'result.json'}, found it damaged "
            f"({error!r}); train the run again."
        ) from error
    known = {}
    for key, value in metrics.items():
        head, name = key.split("/")
        if name in declared:
            try:
                found = shares(declared[name], columns, head, name)
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise DataError(
                    f"Expected the people's values of {key} in {folder / 'predictions.npz'}, found "
                    f"none that can be used ({error!r}); train the run again."
                ) from error
            if found.give(value):
                known[key] = found
    seed = int(config.get("seed_everything") or 0)
    curves = _curves(folder / "metrics.csv")
    run = FinishedRun(str(folder), seed, config, metrics, known, curves, cost, device)
    return run, columns


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}")
    except (OSError, ValueError) as error:
        raise DataError(
            f"Expected JSON in {path}, found that it cannot be read ({error}); restore the file."
        ) from error
    return content


def _columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of predictions.npz."""
    try:
        # NumPy leaves a file open that it cannot read.
        with path.open("rb") as binary, np.load(binary, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        rows = {len(column) for column in columns.values()}
        if len(rows) != 1 or not set(_IDENTITY) <= set(columns):
            raise ValueError(f"the columns {', '.join(sorted(columns)) or 'none'}")
    # A truncated or foreign file raises any of these.
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"Expected predictions for each person in {path}, found that it cannot be read "
            f"({' '.join(str(error).split())[:200]}); restore the file, or train the run again."
        ) from error
    return columns


def _curves(path: Path) -> dict[str, dict[int, float]]:
    """The columns of metrics.csv by name and step, without empty cells; none without the file."""
    found: dict[str, dict[int, float]] = {}
    if not path.is_file():
        return found
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                step = int(row["step"])
                for name, cell in row.items():
                    if name != "step" and cell and math.isfinite(value := float(cell)):
                        found.setdefault(str(name), {})[step] = value
    except (KeyError, OSError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"Expected numbers by step in {path}, found that it cannot be read ({error!r}); "
            "restore the file, or remove it to compare without learning curves."
        ) from error
    return found
