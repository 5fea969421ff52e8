"""The files of a run that has ended, each of which may be damaged."""

import csv
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightning_pose.commands.configs import read_config
from lightning_pose.errors import DataError
from lightning_pose.metrics import PoseMetric
from lightning_pose.report.comparison import FinishedRun
from lightning_pose.report.shares import shares

__all__ = ["check_ended", "read_json", "read_run"]

_COST = ("seconds", "steps", "epochs", "parameters")

_LABELS = {"person_id", "keypoints", "visibility"}
"""Columns that every predictions.npz has."""


def check_ended(folder: Path) -> None:
    """Refuse a run that has not ended.

    Raises:
        DataError: It has no result.json.
    """
    if (folder / "result.json").is_file():
        return
    log = folder.with_suffix(".log")
    act = "train it to its end."
    if log.is_file():
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
        last = lines[-1].strip()[:300] if lines else "none"
        act = f"start the study again; the last line of {log} is: {last}"
    raise DataError(f"Expected a run that has ended in {folder}, found no result.json; {act}")


def read_run(
    folder: Path, declared: Mapping[str, PoseMetric]
) -> tuple[FinishedRun, Mapping[str, np.ndarray]]:
    """Read a run.

    Args:
        folder: The run's folder.
        declared: The metrics of its model by name, which know its joints.

    Returns:
        The run, and the columns of its predictions.

    Raises:
        DataError: A file is missing or damaged.
        ConfigError: Its config cannot be read.
    """
    result, config = read_json(folder / "result.json"), read_config(folder / "config.yaml")
    columns = _columns(folder / "predictions.npz")
    try:
        metrics = {
            str(key): math.nan if value is None else float(value)
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
        if name in declared or (name == "loss" and f"{head}/loss" in columns):
            try:
                found = shares(declared.get(name), columns, head, name)
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


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file.

    Raises:
        DataError: It cannot be read, or is something else.
    """
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
        if len(rows) != 1 or not set(columns) >= _LABELS:
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
