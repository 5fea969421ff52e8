"""The real `lightning dashboard`: a workspace for the heads and metrics of a checkpoint."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_pose.cli import main
from tests.commands.project import refused, rows

interface = pytest.importorskip("wandb_workspaces.workspaces", reason="the extra [dashboard]")


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The workspaces that were sent to W&B."""
    found: list[Any] = []

    def save(workspace: Any) -> None:
        workspace._internal_name = "nw-abc-v"
        found.append(workspace)

    monkeypatch.setattr(interface.Workspace, "save", save)
    monkeypatch.setattr(interface.Workspace, "url", "https://wandb.ai/us/ours?nw=abc")
    return found


def test_it_shows_what_the_run_has_logged(here: Path, saved, capsys) -> None:
    assert main(["dashboard", "--ckpt_path", str(here / "best.ckpt")]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["section"]["runSets"]
    logged = set(rows(here / "metrics.csv")[0])
    used = set(re.findall(r'"(?:summary:)?((?:val|train)/[^"]+)"', text))
    media = {"val/masks", "val/predictions", "val/people"}
    assert {re.sub(r"\.(max|min)$", "", key) for key in used} - media <= logged
    assert {"val/heatmap/PCKh", "val/coordinates/RMSE", "val/mask/Dice.max"} <= used
    assert "per_joint/heatmap/PCKh/left_knee" in text
    assert not saved


def test_it_is_pushed_where_asked(here: Path, saved, capsys) -> None:
    words = ["dashboard", "--ckpt_path", str(here / "best.ckpt"), "--push"]
    assert main([*words, "--entity=us", "--project=ours", "--name=Heads"]) == 0
    (workspace,) = saved
    assert (workspace.entity, workspace.project, workspace.name) == ("us", "ours", "Heads")
    assert capsys.readouterr().out == "Dashboard: https://wandb.ai/us/ours?nw=abc\n"


def test_bad_input_is_one_sentence(here: Path, saved, capsys, monkeypatch) -> None:
    words = ["dashboard", "--ckpt_path", str(here / "best.ckpt")]
    assert "Expected --entity with --push, found none" in refused(capsys, *words, "--push")
    missing = refused(capsys, "dashboard", "--ckpt_path", "none.ckpt")
    assert "none.ckpt" in missing

    def fail(workspace: Any) -> None:
        raise RuntimeError("no route\nto host")

    monkeypatch.setattr(interface.Workspace, "save", fail)
    sentence = refused(capsys, *words, "--push", "--entity=us")
    assert "Expected W&B to save the dashboard, found: no route to host" in sentence
    assert "`wandb login`" in sentence


def test_without_the_library_it_says_what_to_install(here: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.delitem(sys.modules, "wandb_workspaces.workspaces")
    sentence = refused(capsys, "dashboard", "--ckpt_path", str(here / "best.ckpt"))
    assert "install it with `pip install wandb-workspaces`" in sentence
