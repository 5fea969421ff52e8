"""configs/trainer/ema.yaml: what is validated, saved, loaded and resumed is the average."""

import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

import lightning_pose as lp
from lightning_pose.batch import Batch
from lightning_pose.cli import main
from lightning_pose.commands.fit import FitCLI
from lightning_pose.module import PoseModule
from tests.commands.project import best, figures

DECAY = 0.7  # The average of a few steps differs clearly from the last.
WORDS = ["fit", "--config", "tiny.yaml", "--config", "trainer/ema.yaml"]
# Dropout draws other numbers after a restart.
WORDS += ["--model.backbone.init_args.dropout=0.0", "--trainer.precision=32-true"]
WORDS += [f"--trainer.callbacks.decay={DECAY}"]


class Recorder(pl.Callback):
    """Keeps the weights and statistics after every step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        self.steps.append({k: v.clone() for k, v in pl_module.state_dict().items()})


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    callbacks = FitCLI._callbacks
    monkeypatch.setattr(
        FitCLI, "_callbacks", lambda cli, loggers: [*callbacks(cli, loggers), found]
    )
    return found


def average(steps: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The exponential moving average, from its definition; it starts at the first step."""
    found = {name: value.double() for name, value in steps[0].items()}
    for step in steps[1:]:
        found = {name: DECAY * found[name] + (1 - DECAY) * step[name] for name in found}
    return found


def test_checkpoints_and_metrics_are_those_of_the_average(
    here: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "--run", "ema", "--trainer.max_epochs", "1"]) == 0
    run = here.parent.parent / "tiny-ema" / "ema"
    assert len(recorder.steps) == 2
    expected = average(recorder.steps)
    content = torch.load(run / "last.ckpt", weights_only=True)
    loaded = lp.load(run / "best.ckpt").model.state_dict()
    for found in (content["state_dict"], loaded):
        for name, value in expected.items():
            if value.numel() > 1:  # Counters of steps are whole numbers.
                torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-7)
    last = content["current_model_state"]
    assert all(torch.equal(last[name], value) for name, value in recorder.steps[-1].items())
    assert any(not torch.allclose(last[name], content["state_dict"][name]) for name in last)
    # The metrics of the run are those of its checkpoint.
    capsys.readouterr()
    words = ["--ckpt_path", str(run / "best.ckpt"), "--trainer.precision=32-true"]
    assert main(["validate", *words]) == 0
    again = figures(capsys.readouterr().out)
    for name in ("val/loss", "val/heatmap/RMSE", "val/mask/Dice"):
        assert again[name] == pytest.approx(float(best(run)[name]), rel=1e-4)


def test_a_resumed_run_has_the_same_weights_and_average(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PoseModule.training_step

    def stop_in_the_third(self: PoseModule, batch: Batch, batch_idx: int) -> Tensor:
        if self.global_step == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch, batch_idx)

    experiment = here.parent.parent / "tiny-ema"
    words = [*WORDS, "--trainer.max_epochs", "3"]
    with monkeypatch.context() as patch:
        patch.setattr(PoseModule, "training_step", stop_in_the_third)
        assert main([*words, "--run", "stopped"]) == 143
    last = experiment / "stopped" / "last.ckpt"
    assert main([*words, "--run", "continued", "--ckpt_path", str(last)]) == 0
    assert main([*words, "--run", "uninterrupted"]) == 0
    ours, theirs = (
        torch.load(experiment / name / "last.ckpt", weights_only=True)
        for name in ("continued", "uninterrupted")
    )
    for key in ("state_dict", "current_model_state", "averaging_state"):
        assert all(torch.equal(ours[key][name], value) for name, value in theirs[key].items())
    assert theirs["averaging_state"]["n_averaged"] == 6
