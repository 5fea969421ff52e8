"""How `lightning fit` ends: what it has saved then, and what its exit status says."""

import math
import multiprocessing
import shutil
import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from lightning_pose.batch import Batch
from lightning_pose.callbacks import LastCheckpoint, last
from lightning_pose.checkpoint_io import AtomicCheckpointIO
from lightning_pose.cli import main
from lightning_pose.commands.stopped import exit_status
from lightning_pose.errors import InfiniteLossError
from lightning_pose.module import PoseModule
from tests.commands.project import CONFIG, refused, rows
from tests.data.lspet import write_lspet


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
        (["--model.backbone_lr", "0.1"], "found AdamW of 2 groups and WarmupCosine"),
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


def test_the_minutes_between_checkpoints_are_chosen_on_the_command_line(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    write = LastCheckpoint._write

    def note(self: LastCheckpoint, trainer: pl.Trainer) -> None:
        saved.append(trainer.global_step)
        write(self, trainer)

    monkeypatch.setattr(LastCheckpoint, "_write", note)
    words = ["fit", "--config", "tiny.yaml", "--data.batch_size", "2", "--trainer.max_epochs", "1"]
    assert main(words) == 0
    assert saved == [4], "after the validation"
    saved.clear()
    assert main([*words, "--save_every_n_minutes", "1e-9"]) == 0
    assert saved == [1, 2, 3, 4]


@pytest.mark.parametrize("strategy", ["auto", "{class_path: SingleDeviceStrategy}"])
def test_checkpoints_are_written_by_our_plugin(
    here: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    used = []
    save = AtomicCheckpointIO.save_checkpoint

    def note(self: AtomicCheckpointIO, checkpoint: dict, path: Path, **options: object) -> None:
        used.append(Path(path).name)
        save(self, checkpoint, path, **options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", note)
    words = ["--config", "tiny.yaml", "--trainer.max_epochs", "1", "--trainer.strategy", strategy]
    assert main(["fit", *words]) == 0
    assert used == ["best.ckpt", "new.last.ckpt"]


def test_what_was_logged_is_on_disk_before_the_checkpoint_takes_its_place(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace = Path.replace

    def note_replace(path: Path, target: Path) -> Path:
        done.append(Path(target).name)
        return replace(path, target)

    monkeypatch.setattr(last, "sync_file", lambda path: done.append(path.name.split(".out.")[0]))
    monkeypatch.setattr(last, "sync_folder", lambda path: done.append(path.name))
    monkeypatch.setattr(Path, "replace", note_replace)
    assert main(["fit", "--config", "tiny.yaml", "--trainer.max_epochs", "1", "--run", "on"]) == 0
    place = done.index("last.ckpt")
    assert set(done[place - 2 : place]) == {"metrics.csv", "events"}
    assert done[place + 1] == "on"


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_process_says_that_the_loss_is_infinite(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", rank, raising=False)
    error = InfiniteLossError("Expected finite losses, found NaN; lower the learning rate.")
    if rank == 0:
        with pytest.raises(InfiniteLossError):
            exit_status(error)
    else:
        assert exit_status(error) == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_a_signal_ends_saves_its_steps_and_says_so(
    here: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    step = PoseModule.training_step

    def stop_in_the_third(self: PoseModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        if self.global_step == 2:
            signal.raise_signal(number)
        return step(self, batch, batch_idx)

    words = ["--config", "tiny.yaml", "--trainer.max_epochs", "4", "--run", number.name]
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(PoseModule, "training_step", stop_in_the_third)
        assert main(["fit", *words]) == status
    assert signal.getsignal(number) == before
    run = here.parent / number.name
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 3
    assert rows(run / "metrics.csv")[-1]["step"] == "2", "the row of the last step is there"
    assert not (run / "result.json").exists()


def test_a_second_ctrl_c_ends_a_run_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: PoseModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.setattr(PoseModule, "training_step", stop)
    assert main(["fit", "--config", "tiny.yaml", "--run", "twice"]) == 130
    assert not (here.parent / "twice" / "last.ckpt").exists()


def test_a_signal_ends_a_validation_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = PoseModule.validation_step
    seen = []

    def stop_in_the_second_batch(self: PoseModule, batch: Batch, batch_idx: int) -> object:
        seen.append(batch_idx)
        if len(seen) == 4:  # The first two are the sanity check.
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(PoseModule, "validation_step", stop_in_the_second_batch)
    words = ["--config", "tiny.yaml", "--data.batch_size", "2", "--data.val", "[5, 12]"]
    assert main(["fit", *words, "--data.train", "[1, 4]", "--run", "in_validation"]) == 130
    assert len(seen) == 4


def test_a_killed_worker_ends_a_run_in_a_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = PoseModule.training_step

    def kill_a_worker(self: PoseModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        return step(self, batch, batch_idx)

    monkeypatch.setattr(PoseModule, "training_step", kill_a_worker)
    words = ["fit", "--config", "tiny.yaml", "--data.num_workers", "1", "--run", "killed_worker"]
    assert "found that one was killed, usually for lack of memory" in refused(capsys, *words)


def test_a_damaged_image_stops_a_run_or_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=12)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    image = tmp_path / "lspet" / "images" / "im00003.jpg"
    image.write_bytes(image.read_bytes()[:600])
    words = ["fit", "--config", "tiny.yaml", "--trainer.max_epochs", "1"]
    assert "im00003.jpg" in refused(capsys, *words)
    with pytest.warns(
        UserWarning, match=r"found that 1 person was skipped .*: im00003\.jpg; repair"
    ):
        assert main([*words, "--data.unreadable", "skip", "--run", "skipped"]) == 0
    found = rows(tmp_path / "checkpoints" / "tiny" / "skipped" / "metrics.csv")
    losses = [float(row["train/loss"]) for row in found if row["train/loss"]]
    assert len(losses) == 2
    assert all(map(math.isfinite, losses))
    # A person of the validation is never skipped: its metrics are those of everyone.
    image.rename(image.with_name("im00010.jpg"))
    write_lspet(tmp_path / "other", count=12)
    shutil.copy(tmp_path / "other" / "images" / "im00003.jpg", image)
    assert "im00010.jpg" in refused(capsys, *words, "--data.unreadable", "skip")
