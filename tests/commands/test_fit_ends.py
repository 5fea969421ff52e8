"""How `lightning fit` ends: what it has saved then, and what its exit status says."""

import signal
from pathlib import Path

import pytest
import torch

from lightning_pose.batch import Batch
from lightning_pose.cli import main
from lightning_pose.module import PoseModule
from tests.commands.project import refused


def test_the_end_of_fit_saves_what_no_validation_saved(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--trainer.max_epochs", "3"]
    assert (
        main(["fit", *words, "--trainer.check_val_every_n_epoch", "2", "--run", "every_second"])
        == 0
    )
    last = torch.load(here.parent / "every_second" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 6
    assert (
        torch.load(here.parent / "every_second" / "best.ckpt", weights_only=True)["global_step"]
        == 4
    )
    assert main(["fit", *words, "--trainer.check_val_every_n_epoch", "5", "--run", "none"]) == 0
    assert (here.parent / "none" / "last.ckpt").is_file()


def test_a_run_that_has_ended_is_not_resumed_for_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--ckpt_path", str(here / "last.ckpt"), "--run", "ended"]
    assert "training left after step 4" in refused(capsys, "fit", *words)
    assert not (here.parent / "ended").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (["--model.optimizer", "torch.optim.SGD"], "found SGD and WarmupCosine"),
        (
            ["--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size=1"],
            "AdamW and StepLR",
        ),
    ],
)
def test_another_optimizer_or_scheduler_does_not_resume(
    here: Path, capsys: pytest.CaptureFixture[str], change: list[str], found: str
) -> None:
    words = ["--config", "tiny.yaml", "--ckpt_path", str(here / "last.ckpt")]
    words += ["--trainer.max_epochs", "3", "--run", "other", *change]
    sentence = refused(capsys, "fit", *words)
    assert "Expected to resume with AdamW and WarmupCosine" in sentence
    assert found in sentence
    assert not (here.parent / "other").exists()


def test_weights_alone_are_not_resumed(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(here / "last.ckpt", weights_only=True)
    kept = {key: content[key] for key in ("state_dict", "lightning_pose")}
    torch.save(kept, tmp_path / "weights.ckpt")
    words = ["--config", "tiny.yaml", "--ckpt_path", str(tmp_path / "weights.ckpt")]
    assert "found weights alone" in refused(capsys, "fit", *words)
    assert main(["fit", "--config", "tiny.yaml", "--init_from", words[-1], "--run", "from"]) == 0


def test_a_terminated_run_saves_its_steps_and_says_so(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PoseModule.training_step

    def stop_in_the_third(self: PoseModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        if self.global_step == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch, batch_idx)

    # Dropout draws other numbers after a restart.
    words = ["--config", "tiny.yaml", "--trainer.max_epochs", "4"]
    words += ["--model.backbone.init_args.dropout", "0.0"]
    with monkeypatch.context() as patch:
        patch.setattr(PoseModule, "training_step", stop_in_the_third)
        assert main(["fit", *words, "--run", "stopped"]) == 143
    last = here.parent / "stopped" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 3
    assert main(["fit", *words, "--run", "continued", "--ckpt_path", str(last)]) == 0
    assert main(["fit", *words, "--run", "uninterrupted"]) == 0
    ours, theirs = (
        torch.load(here.parent / name / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("continued", "uninterrupted")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
