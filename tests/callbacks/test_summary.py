"""The summary prints the figures of best.ckpt, the folder, and a command that can be copied."""

import json
import math
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import pytorch_lightning as pl
import torch

from lightning_pose.callbacks import BestCheckpoint, RunSummary
from lightning_pose.metrics import RMSE
from tests.callbacks.model import StubModel, loader, make_trainer
from tests.metrics.people import make_people


def test_it_prints_figures_folder_and_next_command(tmp_path, capsys) -> None:
    run = tmp_path / "my [old] :key: runs"
    run.mkdir()
    summary = RunSummary(run)
    model = StubModel([0.3, 0.1])
    trainer = make_trainer(BestCheckpoint(run, [summary]), summary, max_epochs=2)
    trainer.fit(model, loader(make_people(2)), loader(make_people(6)))
    capsys.readouterr()
    summary.print()
    printed = capsys.readouterr().out
    for metric in ("joints/PCKh", "joints/PCK", "joints/RMSE", "mask/Dice"):
        best, later = (f"{figures[metric]:.4f}" for figures in model.history)
        assert best in printed
        assert later not in printed
    assert "loss" not in printed
    assert "best.ckpt: epoch 0, val/main 0.3000" in printed
    assert f"Run folder: {run}\n" in printed
    (command,) = (line for line in printed.splitlines() if line.startswith("Next: "))
    words = shlex.split(command.removeprefix("Next: "))
    assert words[words.index("--ckpt_path") + 1] == str(run / "best.ckpt")


def test_the_result_is_that_of_the_best_checkpoint_and_of_the_whole_run(tmp_path) -> None:
    summary = RunSummary(tmp_path)
    model = StubModel([0.3, 0.1])
    trainer = make_trainer(BestCheckpoint(tmp_path, [summary]), summary, max_epochs=2)
    trainer.fit(model, loader(make_people(2)), loader(make_people(6)))
    summary.save(trainer)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["main"] == pytest.approx(0.3)
    assert result["metrics"]["mask/Dice"] == pytest.approx(float(model.history[0]["mask/Dice"]))
    assert result["steps"] == trainer.global_step == 2 * result["step"]
    assert result["epochs"] == 2
    assert 0 < result["seconds"] < 600
    assert result["parameters"] == sum(p.numel() for p in model.parameters())
    assert result["device"] == "cpu"


def test_a_head_without_a_metric_is_kept_by_its_loss() -> None:
    found = {"main": 0.5, "mask/Dice": 0.8, "loss": 2.0, "loss/mask": 0.2, "loss/heatmap": 1.5}
    trainer = MagicMock(
        spec=pl.Trainer,
        callback_metrics={f"val/{key}": torch.tensor(value) for key, value in found.items()},
        current_epoch=0,
        datamodule=None,
    )
    summary = RunSummary(Path("run"))
    summary.keep_best(trainer, StubModel())
    assert summary.results == {"mask/Dice": pytest.approx(0.8), "heatmap/loss": 1.5}


def test_the_seconds_are_those_of_training_alone(tmp_path) -> None:
    best = {"main": None, "step": None, "epoch": None}
    summary = RunSummary(tmp_path)
    summary.load_state_dict({"results": {}, "best": best, "seconds": 7.5})
    # As of a run that was stopped between its last step and its end: it trains no more.
    assert summary.state_dict()["seconds"] == 7.5
    summary.on_train_start(MagicMock(spec=pl.Trainer, checkpoint_callbacks=[]), StubModel())
    assert 7.5 < summary.state_dict()["seconds"] < 60


def test_without_a_validation_the_result_has_no_metrics(tmp_path) -> None:
    summary = RunSummary(tmp_path)
    trainer = make_trainer(BestCheckpoint(tmp_path), summary, max_epochs=1, limit_val_batches=0)
    trainer.fit(StubModel(), loader(make_people(2)), loader(make_people(6)))
    summary.save(trainer)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["main"], result["step"], result["metrics"]) == (None, None, {})


def test_what_json_has_no_word_for_is_null(tmp_path) -> None:
    summary = RunSummary(tmp_path)
    trainer = make_trainer(BestCheckpoint(tmp_path), summary, max_epochs=1, limit_val_batches=0)
    trainer.fit(StubModel(), loader(make_people(2)), loader(make_people(6)))
    summary.results = {"joints/PCKh": math.nan, "heatmap/loss": math.inf, "mask/Dice": 0.5}
    summary._best = {"main": -math.inf, "step": 1, "epoch": 0}
    summary.save(trainer)
    text = (tmp_path / "result.json").read_text()
    assert not {"NaN", "Infinity"} & set(re.findall(r"\w+", text))
    result = json.loads(text)
    assert result["main"] is None
    assert result["metrics"] == {"joints/PCKh": None, "heatmap/loss": None, "mask/Dice": 0.5}


def test_it_shows_the_sets_of_a_mix_but_no_other_groups(tmp_path, capsys) -> None:
    summary = RunSummary(tmp_path)
    (tmp_path / "best.ckpt").touch()
    found = {"main": 0.5, "joints/RMSE": 3.0, "joints/RMSE/lsp": 2.0, "joints/RMSE/left_knee": 9.0}
    found["loss/joints"] = found["loss/joints/lsp"] = 7.0
    trainer = MagicMock(
        spec=pl.Trainer,
        callback_metrics={f"val/{key}": torch.tensor(value) for key, value in found.items()},
        current_epoch=0,
        datamodule=SimpleNamespace(set_names=("lsp", "mpii"), caveat=""),
    )
    model = StubModel()
    model.metrics = {"RMSE": RMSE()}
    summary.on_train_start(trainer, model)
    summary.keep_best(trainer, model)
    assert summary.results == {"joints/RMSE": 3.0, "joints/RMSE/lsp": 2.0}
    summary.print()
    rows = [line.strip("│ ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["joints", "│", "RMSE", "│", "3.0000", "px"] in rows
    assert ["joints", "│", "RMSE/lsp", "│", "2.0000", "px"] in rows


def test_without_a_best_checkpoint_it_says_so(tmp_path, capsys) -> None:
    RunSummary(tmp_path).print()
    printed = capsys.readouterr().out
    assert printed == (
        f"Found no best.ckpt in {tmp_path}: no validation was completed and saved.\n"
    )


def test_a_run_that_found_nothing_better_has_no_empty_table(tmp_path, capsys) -> None:
    (tmp_path / "best.ckpt").touch()
    RunSummary(tmp_path).print()
    printed = capsys.readouterr().out
    assert "val/main" not in printed
    assert f"Run folder: {tmp_path}\n" in printed


@pytest.mark.parametrize(("error", "lines"), [(KeyboardInterrupt(), 1), (ValueError(), 0)])
def test_an_interruption_from_the_keyboard_prints_it(tmp_path, capsys, error, lines) -> None:
    summary = RunSummary(tmp_path)
    summary.on_exception(make_trainer(summary), StubModel(), error)
    printed = [line for line in capsys.readouterr().out.splitlines() if "best.ckpt" in line]
    assert len(printed) == lines


def test_after_an_interruption_it_says_how_to_go_on(tmp_path, capsys) -> None:
    run = tmp_path / "my runs"
    run.mkdir()
    summary = RunSummary(run)
    summary.print(interrupted=True)
    assert "Resume" not in capsys.readouterr().out, "nothing is there to resume from"
    (run / "last.ckpt").touch()
    summary.print(interrupted=True)
    (command,) = (line for line in capsys.readouterr().out.splitlines() if "Resume: " in line)
    words = ["--config", str(run / "config.yaml"), "--run", "my runs", "--ckpt_path", "auto"]
    assert shlex.split(command.removeprefix("Resume: ")) == ["lightning", "fit", *words]


def test_a_negative_main_metric_is_explained(tmp_path, capsys) -> None:
    (tmp_path / "best.ckpt").touch()
    summary = RunSummary(tmp_path)
    for main, explained in ((-3.0, True), (0.5, False)):
        found = {"val/main": torch.tensor(main), "val/joints/RMSE": torch.tensor(3.0)}
        trainer = MagicMock(spec=pl.Trainer, callback_metrics=found, current_epoch=0)
        summary.keep_best(trainer, StubModel())
        summary.print()
        assert ("(negated, since lower is better)" in capsys.readouterr().out) == explained
