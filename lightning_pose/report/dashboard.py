"""The workspace of Weights & Biases in which the runs of a project are compared."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import (
        LinePlot,
        ParallelCoordinatesPlotColumn,
        ScatterPlot,
    )
    from wandb_workspaces.workspaces import Workspace

__all__ = ["dashboard"]

_STEP = "trainer/global_step"


def dashboard(
    entity: str,
    project: str,
    name: str,
    metrics: Mapping[str, Mapping[str, bool]],
    joints: Mapping[str, Sequence[str]],
) -> "Workspace":
    """Build the workspace for the runs of a model; nothing is sent anywhere.

    Each head is represented by its first metric where charts compare heads or weights. The keys are
    those that `fit` logs; a panel whose keys no run has stays empty.

    Args:
        entity: The user or the team in W&B.
        project: The project with the runs.
        name: The title of the workspace.
        metrics: For each head, whether higher is better, by metric.
        joints: The names of the joints, for each "HEAD/METRIC" that has a value per joint.

    Returns:
        The workspace.
    """
    # An optional package.
    from wandb_workspaces import workspaces as ws
    from wandb_workspaces.reports.v2 import interface as panels

    heads = list(metrics)
    names = dict.fromkeys(metric for own in metrics.values() for metric in own)
    firsts = {head: next(iter(own)) for head, own in metrics.items() if own}
    titles = {head: f"{head} {metric}" for head, metric in firsts.items()}
    bests = {
        head: f"val/{head}/{metric}.{'max' if metrics[head][metric] else 'min'}"
        for head, metric in firsts.items()
    }
    trade_offs = [
        _scatter(f"{titles[two]} against {titles[one]}", bests[one], bests[two])
        for one, two in combinations(firsts, 2)
        if firsts[one] != firsts[two]
    ]
    axes = [_axis(f"weight/{head}", f"weight of {head}") for head in heads]
    axes += [_axis(best, titles[head]) for head, best in bests.items()]
    cosines = panels.LinePlot(
        title="Cosines between heads; below 0, they pull the shared features apart",
        x=_STEP,
        metric_regex="gradient/cosine/.*",
        range_y=(-1, 1),
    )
    sections = [
        ws.Section(
            name="Metrics",
            is_open=True,
            panels=[
                _lines(
                    metric, [f"val/{head}/{metric}" for head in heads if metric in metrics[head]]
                )
                for metric in names
            ],
        ),
        ws.Section(
            name="Trade-off between heads",
            is_open=True,
            panels=[
                *trade_offs,
                panels.ParallelCoordinatesPlot(title="Weights and metrics", columns=axes),
            ],
        ),
        ws.Section(
            name="Metrics against weights",
            is_open=True,
            # A row for each metric, with a column for each weight.
            layout_settings=ws.SectionLayoutSettings(columns=len(heads), rows=max(1, len(bests))),
            panels=[
                _scatter(f"{titles[head]}, weight of {other}", f"weight/{other}", best, log_x=True)
                for head, best in bests.items()
                for other in heads
            ],
        ),
        ws.Section(
            name="Joints at the best validation",
            panels=[
                panels.BarPlot(
                    title=titles[head],
                    metrics=[f"per_joint/{key}/{joint}" for joint in joints[key]],
                )
                for head, metric in firsts.items()
                if (key := f"{head}/{metric}") in joints
            ],
        ),
        ws.Section(
            name="Losses and weights",
            panels=[
                _lines("Losses of the validation", [f"val/loss/{head}" for head in heads]),
                _lines("Losses in training", [f"train/loss/{head}" for head in heads]),
                _lines("Weights", [f"weight/{head}" for head in heads]),
            ],
        ),
        ws.Section(
            name="Gradients of the heads",
            panels=[_lines("Norms", [f"gradient/norm/{head}" for head in heads]), cosines],
        ),
        ws.Section(
            name="People",
            panels=[
                panels.MediaBrowser(title="Masks", media_keys=["val/masks"]),
                panels.MediaBrowser(title="Predictions", media_keys=["val/predictions"]),
                panels.WeavePanelSummaryTable(table_name="val/people"),
            ],
        ),
    ]
    columns = [f"summary:{key}" for key in ("val/main.max", *bests.values())]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[section for section in sections if section.panels],
        settings=ws.WorkspaceSettings(x_axis=_STEP),
        runset_settings=ws.RunsetSettings(pinned_columns=columns),
    )


def _lines(title: str, keys: Sequence[str]) -> "LinePlot":
    """Curves over the training."""
    from wandb_workspaces.reports.v2.interface import LinePlot

    return LinePlot(title=title, x=_STEP, y=list(keys))


def _scatter(title: str, x: str, y: str, log_x: bool | None = None) -> "ScatterPlot":
    """One point per run, from the runs' summaries."""
    from wandb_workspaces.reports.v2.interface import ScatterPlot, SummaryMetric

    return ScatterPlot(title=title, x=SummaryMetric(x), y=SummaryMetric(y), log_x=log_x)


def _axis(key: str, title: str) -> "ParallelCoordinatesPlotColumn":
    """An axis of a plot of parallel coordinates, from the runs' summaries."""
    from wandb_workspaces.reports.v2.interface import (
        ParallelCoordinatesPlotColumn,
        SummaryMetric,
    )

    return ParallelCoordinatesPlotColumn(SummaryMetric(key), display_name=title)
