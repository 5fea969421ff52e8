"""The workspace is built and read back without a network, and shows what `fit` logs."""

import json
from typing import Any

import pytest

from lightning_pose.report.dashboard import dashboard

workspaces = pytest.importorskip("wandb_workspaces.workspaces", reason="the extra [dashboard]")

from wandb_workspaces.reports.v2.interface import (  # noqa: E402  # After the package was found.
    BarPlot,
    LinePlot,
    ParallelCoordinatesPlot,
    ScatterPlot,
)
from wandb_workspaces.workspaces.internal import WorkspaceViewspec  # noqa: E402

METRICS = {
    "mask": {"Dice": True},
    "heatmap": {"PCKh": True, "RMSE": False},
    "coordinates": {"RMSE": False},
    "age": {},
}
JOINTS = {
    "heatmap/PCKh": ["neck", "head_top"],
    "heatmap/RMSE": ["neck", "head_top"],
    "coordinates/RMSE": ["neck", "head_top"],
}


def build(metrics: dict = METRICS, joints: dict = JOINTS) -> Any:
    return dashboard("us", "lightning_pose", "Heads", metrics, joints)


def panels(workspace: Any, kind: type) -> list[Any]:
    return [one for section in workspace.sections for one in section.panels if type(one) is kind]


def test_it_survives_being_written_and_read() -> None:
    workspace = build()
    view = workspace._to_model()
    text = view.spec.model_dump_json(by_alias=True, exclude_none=True)
    view.spec = WorkspaceViewspec.model_validate_json(text)
    again = workspaces.Workspace._from_model(view)
    assert [section.name for section in again.sections] == [
        "Metrics", "Trade-off between heads", "Metrics against weights",
        "Joints at the best validation", "Losses and weights", "Gradients of the heads", "People",
    ]  # fmt: skip
    assert (again.entity, again.project, again.name) == ("us", "lightning_pose", "Heads")
    for before, after in zip(workspace.sections, again.sections, strict=True):
        assert [type(one) for one in after.panels] == [type(one) for one in before.panels]
    assert json.loads(text) == json.loads(
        again._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    )


def test_each_metric_is_drawn_for_the_heads_that_have_it() -> None:
    curves = {one.title: one.y for one in panels(build(), LinePlot)}
    assert curves["Dice"] == ["val/mask/Dice"]
    assert curves["RMSE"] == ["val/heatmap/RMSE", "val/coordinates/RMSE"]
    assert curves["Weights"] == [f"weight/{head}" for head in METRICS]
    assert curves["Norms"] == [f"gradient/norm/{head}" for head in METRICS]
    (cosines,) = (one for one in panels(build(), LinePlot) if one.metric_regex)
    assert cosines.metric_regex == "gradient/cosine/.*"


def test_runs_are_points_at_their_best_values() -> None:
    points = [(one.x.name, one.y.name) for one in panels(build(), ScatterPlot)]
    best = ["val/mask/Dice.max", "val/heatmap/PCKh.max", "val/coordinates/RMSE.min"]
    trades = [(best[0], best[1]), (best[0], best[2]), (best[1], best[2])]
    assert points == trades + [(f"weight/{head}", value) for value in best for head in METRICS]
    (lines,) = panels(build(), ParallelCoordinatesPlot)
    assert [one.metric.name for one in lines.columns] == [
        *(f"weight/{head}" for head in METRICS), *best,
    ]  # fmt: skip
    assert build().runset_settings.pinned_columns == [
        "run:displayName", "summary:val/main.max", *(f"summary:{value}" for value in best),
    ]  # fmt: skip


def test_joints_are_bars_for_heads_with_joints() -> None:
    bars = {one.title: one.metrics for one in panels(build(), BarPlot)}
    assert bars == {
        f"{head} {metric}": [f"per_joint/{head}/{metric}/{joint}" for joint in ("neck", "head_top")]
        for head, metric in (("heatmap", "PCKh"), ("coordinates", "RMSE"))
    }


def test_a_model_with_one_head_has_no_empty_section() -> None:
    workspace = build({"mask": {"Dice": True}}, {})
    assert all(section.panels for section in workspace.sections)
    assert "Joints at the best validation" not in [one.name for one in workspace.sections]
    assert len(panels(workspace, ScatterPlot)) == 1
