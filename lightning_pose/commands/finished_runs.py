"""Run folders that have ended, read as arms for `lightning compare`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lightning_pose import checkpoint, parts
from lightning_pose.commands.configs import read_config
from lightning_pose.commands.run_files import check_ended, read_json, read_run
from lightning_pose.errors import ConfigError, DataError, InputError
from lightning_pose.input_spec import InputSpec
from lightning_pose.metrics import PoseMetric
from lightning_pose.model_spec import ModelSpec
from lightning_pose.report.comparison import ArmRuns, FinishedRun
from lightning_pose.report.measure import Measure
from lightning_pose.task import Task

__all__ = ["differing_options", "read_runs", "read_study"]

_OF_ONE_RUN = (
    "seed_everything", "experiment", "run", "trainer.default_root_dir", "threads",
    "save_every_n_steps", "save_every_n_minutes",
)  # fmt: skip
"""Keys of a config that may differ between the runs of an arm."""

_IDENTITY = {
    "person_id": "people", "keypoints": "labels", "visibility": "labels", "box": "boxes",
    "head_size": "head sizes", "torso_size": "torso sizes", "area": "areas",
    "image_id": "images", "image_size": "image sizes",
}  # fmt: skip
"""The columns of predictions.npz that are the same in all runs, in words; so is each label/NAME."""


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
        model: tuple[ModelSpec, dict[str, PoseMetric]] | None = None
        for folder in folders:
            try:
                check_ended(folder)
                # The runs of an arm have the same settings, and checkpoints are large.
                model = self._model(folder) if model is None else model
                run, columns = read_run(folder, model[1])
                _check_settings(name, [*runs[:1], run])
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
        measures = _measures(runs[0].metrics, *model) if runs and model else {}
        return ArmRuns(name, tuple(runs), tuple(sentences), measures)

    def _model(self, folder: Path) -> tuple[ModelSpec, dict[str, PoseMetric]]:
        """A run's model, and its metrics, which know the joints."""
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
        return spec, metrics

    def _check_people(self, folder: Path, columns: Mapping[str, np.ndarray]) -> None:
        # Runs of an earlier version lack some columns.
        ours = {
            name: column
            for name, column in columns.items()
            if name in _IDENTITY or name.startswith("label/")
        }
        if self.first is None:
            self.first = (folder, ours)
        other, theirs = self.first
        for name in [name for name in ours if name in theirs]:
            numeric = ours[name].dtype.kind == "f"  # NaN is then an unknown label.
            if not np.array_equal(ours[name], theirs[name], equal_nan=numeric):
                raise DataError(
                    "Expected runs that were scored on the same people, found other "
                    f"{_IDENTITY.get(name, name)} in {folder} than in {other}; compare runs of one "
                    "validation split."
                )


def _check_settings(arm: str, runs: Sequence[FinishedRun]) -> None:
    """Refuse a run whose settings are not those of the first run of its arm."""
    first, run = runs[0], runs[-1]
    theirs, ours = (_shared(one.config) for one in (first, run))
    for key in {**theirs, **ours}:
        before, now = (settings.get(key, "nothing") for settings in (theirs, ours))
        if before != now:
            raise DataError(
                f"Expected the same settings in {run.name} as in {first.name}, the first run of "
                f"the arm {arm}, found {key} {now} instead of {before}; train both with the same "
                "configs."
            )


def _measures(
    keys: Iterable[str], spec: ModelSpec, metrics: Mapping[str, PoseMetric]
) -> dict[str, Measure]:
    """What is known about the metrics of a run, by "HEAD/METRIC", and then about losses."""
    found, losses = {}, {}
    for key in keys:
        head, name = key.split("/")
        if (metric := metrics.get(name)) is not None:
            # Pixels are those of the input.
            pixels = spec.input_spec if metric.unit == "px" else None
            found[key] = Measure(
                metric.unit,
                bool(metric.higher_is_better),
                _definition(spec.metrics[name], pixels),
                fraction=metric.plot_upper_bound == 1.0,
            )
        elif name == "loss":
            definition = _definition(spec.heads[head], spec.input_spec)
            losses[key] = Measure("", False, definition, loss=True, fraction=False)
    return found | losses


def _definition(
    part: Mapping[str, Any], input_spec: InputSpec | None
) -> tuple[tuple[str, str], ...]:
    """The settings of a part of a model, and of the input where the part depends on it."""
    settings = {"class": part["class_path"], **part["init_args"]}
    if input_spec is not None:
        settings |= {f"input.{name}": value for name, value in asdict(input_spec).items()}
    return tuple((name, str(value)) for name, value in settings.items() if value is not None)


def read_study(folder: Path, allow: Sequence[str] = ()) -> list[ArmRuns]:
    """Read the runs of `lightning study`.

    Args:
        folder: The folder of the study.
        allow: Packages of which a checkpoint may import classes.

    Returns:
        The arms in the order of the study; runs that died, are missing or have other settings than
        the first run of their arm are failures.

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
    names = list(read_json(path).get("arms") or {})
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
        experiment = str(config.get("experiment") or folder.resolve().parent.name)
        key = json.dumps([experiment, _shared(config)], sort_keys=True, default=str)
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
    found = [_shared(arm.runs[0].config) if arm.runs else None for arm in arms]
    keys = {key: None for settings in found for key in settings or ()}
    rows = {}
    for key in keys:
        values = [None if settings is None else settings.get(key) for settings in found]
        if len({str(v) for v, settings in zip(values, found, strict=True) if settings}) > 1:
            rows[key] = ["-" if value is None else _short(str(value)) for value in values]
    return rows


def _short(value: str) -> str:
    """The name of a class of this package without its modules, as configs may write it."""
    return re.sub(r"^lightning_pose\.(\w+\.)*(?=\w+$)", "", value)


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a config that all runs of an arm have."""
    return {key: value for key, value in _flat(config).items() if key not in _OF_ONE_RUN}


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
