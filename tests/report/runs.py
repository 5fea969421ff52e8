"""Runs that have ended, made up from random people instead of trained."""

from collections.abc import Mapping

import numpy as np

from lightning_pose.callbacks.predictions import _columns
from lightning_pose.metrics import PoseMetric, Scores, default_metrics
from lightning_pose.report.comparison import ArmRuns, FinishedRun
from lightning_pose.report.measure import Measure
from lightning_pose.report.shares import Shares
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.metrics.people import make_people, predict

HEADS = {"mask": ("mask",), "joints": ("keypoints", "scores")}


def score(
    error: float,
    seed: int,
    people: int = 60,
    metrics: Mapping[str, PoseMetric] | None = None,
    heads: Mapping[str, tuple[str, ...]] = HEADS,
    stretch: float = 1.0,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The columns of predictions.npz, and the metrics, of predictions off by some pixels."""
    batch = make_people(people)
    batch.crop[:, 0] *= stretch
    scores = Scores(heads, metrics or default_metrics(LSP14), Task(LSP14), next(iter(heads)))
    found = scores.update(dict.fromkeys(heads, predict(batch, error, seed)), batch)
    figures = {key: float(figure) for key, figure in scores.compute({}).items() if key != "main"}
    return _columns(found, batch), figures


def finished(
    metrics: Mapping[str, float],
    seed: int = 0,
    shares: Mapping[str, Shares] | None = None,
    curves: Mapping[str, Mapping[int, float]] | None = None,
) -> FinishedRun:
    cost = {"seconds": 61.0, "steps": 20.0, "epochs": 2.0, "parameters": 12345.0}
    name = f"runs/seed_{seed}"
    return FinishedRun(name, seed, {}, metrics, shares or {}, curves or {}, cost, "cpu")


def arm(
    name: str, metric: str, values: list[float], people: int = 50, **measure: object
) -> ArmRuns:
    """An arm whose runs have one metric, in which all people are alike."""
    runs = []
    for seed, value in enumerate(values):
        equal = Shares(np.full((people, 1), value), np.ones((people, 1)))
        curves = {f"val/{metric}": {5: value / 2, 10: value}, "weight/mask": {5: 1.0, 10: 0.5}}
        runs.append(finished({metric: value}, seed, {metric: equal}, curves))
    return ArmRuns(name, tuple(runs), (), {metric: Measure(**measure)})
