"""A training that srun has started; tests/cluster submits jobs to a real Slurm."""

import signal
from pathlib import Path

import pytest
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from lightning_pose.batch import Batch
from lightning_pose.cli import main
from lightning_pose.commands.slurm import slurm_plugins
from lightning_pose.module import PoseModule

JOB = {"JOB_ID": "7", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in JOB.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_only_where_srun_has_started_it_lightning_must_not_requeue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert slurm_plugins([]) == []
    monkeypatch.setenv("SLURM_NTASKS", "1")
    (environment,) = slurm_plugins([])
    assert not environment.auto_requeue
    assert slurm_plugins([LightningEnvironment()]) == []
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert slurm_plugins([]) == []


@pytest.mark.usefixtures("job")
def test_a_run_whose_time_is_over_saves_where_it_can_resume(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = PoseModule.training_step
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]

    def stop_in_the_third(self: PoseModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        if self.global_step == 2:
            signal.raise_signal(signal.SIGUSR1)
        return step(self, batch, batch_idx)

    words = ["fit", "--config", "tiny.yaml", "--trainer.max_epochs", "4", "--run", "over"]
    with monkeypatch.context() as patch:
        patch.setattr(PoseModule, "training_step", stop_in_the_third)
        assert main(words) == 143
    run = here.parent / "over"
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 3
    assert not list(run.glob("hpc_ckpt*")), "Lightning's own checkpoint"
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == before
    assert main([*words, "--ckpt_path", "auto"]) == 0
    assert "continues after step 3" in caplog.text
