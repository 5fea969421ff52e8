"""A run that was stopped anywhere and continued equals one that was not, bit for bit."""

import errno
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from filelock import FileLock
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_pose.callbacks import LastCheckpoint, MetricsFile
from lightning_pose.cli import main
from lightning_pose.module import PoseModule
from tests.commands.project import CONFIG, refused, rows
from tests.data.lspet import write_lspet

# Dropout, workers' augmentation, a validation within the epoch, a learning rate per step, and a
# picture of gradients.
WORDS = ["fit", "--config", "tiny.yaml", "--trainer.max_epochs=3", "--data.batch_size=2"]
WORDS += ["--trainer.val_check_interval=2", "--save_every_n_steps=1"]
WORDS += ["--config", "measured.yaml", "--experiment=tiny"]
MEASURED = """
trainer:
  callbacks+:
    - class_path: GradientTelemetry
      init_args: {every_n_steps: 4}
"""
PLATEAU = [
    "--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau",
    "--model.lr_scheduler.patience=0",
]
PLATEAU += ["--model.lr_interval=epoch", "--model.lr_scheduler.threshold=0.5"]
AVERAGE = ["--config=trainer/ema.yaml", "--config=weighting/dynamic_weight_average.yaml"]
ACCUMULATE = ["--trainer.accumulate_grad_batches=3", "--trainer.val_check_interval=1.0"]
SHORT = ["fit", "--config=tiny.yaml", "--trainer.limit_val_batches=1", "--data.batch_size=2"]


class Killed(BaseException):
    """Ends a process without any clean-up of ours, as SIGKILL does."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=12)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    (tmp_path / "measured.yaml").write_text(MEASURED)
    return tmp_path


@contextmanager
def killed(where: type, name: str, at: int) -> Iterator[None]:
    """Kill the run when a method is called for the n-th time."""
    calls = 0
    method = getattr(where, name)

    def count(self, *words, **options):
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed
        return method(self, *words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, count)
        with pytest.raises(Killed):
            yield


OWN = {"dirpath", "best_model_path", "kth_best_model_path", "last_model_path", "best_k_models"}
# Lightning saves the last one, too, and does not read it.
OWN |= {"seconds", "current_score"}


def without_own(state: dict[str, object]) -> dict[str, object]:
    """A callback's state without the folder of its run and how long it took."""
    return {key: value for key, value in state.items() if key not in OWN}


def content(run: Path) -> dict[str, object]:
    """Everything of a run that must not depend on where it was stopped."""
    last = torch.load(run / "last.ckpt", weights_only=True)
    best = torch.load(run / "best.ckpt", weights_only=True)
    result = json.loads((run / "result.json").read_text())
    del result["seconds"]
    events = EventAccumulator(str(run), {"images": 0})  # All of them.
    events.Reload()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    images = {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}
    # The weights of the heads' losses are in the model, too.
    average = ("current_model_state", "averaging_state")
    return {
        "weights": last["state_dict"],
        "average": {key: last.get(key) for key in average},
        "callbacks": {name: without_own(state) for name, state in last["callbacks"].items()},
        "optimizer": last["optimizer_states"],
        "schedulers": last["lr_schedulers"],
        "step": last["global_step"],
        "best": best["state_dict"],
        "best average": {key: best.get(key) for key in average},
        "best step": best["global_step"],
        "predictions": dict(np.load(run / "predictions.npz")),
        "rows": rows(run / "metrics.csv"),
        "result": result,
        "scalars": scalars,
        "images": images,
        "pictures": sorted(path.name for path in (run / "pictures").iterdir()),
    }


def assert_equal(found: object, expected: object, where: str = "") -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_equal(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), (where, found, expected)
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_equal(one, other, f"{where}/{number}")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, where)
    else:
        assert found == expected or (found != found and expected != expected), where


EVERYWHERE = [
    (PoseModule, "training_step", 1),
    (PoseModule, "training_step", 2),
    (PoseModule, "training_step", 6),
    (PoseModule, "validation_step", 8),
    (PoseModule, "on_validation_epoch_end", 4),
    (LastCheckpoint, "_write", 3),
    (LastCheckpoint, "_publish", 6),
    (MetricsFile, "log_metrics", 5),
    (LastCheckpoint, "on_train_end", 1),
]


@pytest.mark.parametrize(
    ("words", "stops"),
    [
        ([], [(PoseModule, "training_step", 6)]),
        pytest.param(PLATEAU, [(LastCheckpoint, "_write", 5)], marks=pytest.mark.drill),
        pytest.param(ACCUMULATE, [(LastCheckpoint, "_write", 2)], marks=pytest.mark.drill),
        pytest.param([], EVERYWHERE, marks=pytest.mark.drill),
        pytest.param(PLATEAU, EVERYWHERE[1:7], marks=pytest.mark.drill),
        pytest.param(AVERAGE, EVERYWHERE[2:7:2], marks=pytest.mark.drill),
    ],
    ids=[
        *("within_an_epoch", "plateau", "accumulation", "everywhere", "plateau_everywhere"),
        "average_everywhere",
    ],
)
def test_a_run_continues_as_if_it_had_not_been_stopped(
    project: Path, words: list[str], stops: list[tuple[type, str, int]]
) -> None:
    words = [*WORDS, *words]
    assert main([*words, "--trainer.default_root_dir=whole", "--run=0"]) == 0
    whole = content(project / "whole" / "tiny" / "0")
    for where, name, at in stops:
        root = f"--trainer.default_root_dir=stopped_{name}_{at}"
        with killed(where, name, at):
            main([*words, root])
        assert main([*words, root, "--ckpt_path=auto"]) == 0
        runs = list((project / f"stopped_{name}_{at}" / "tiny").iterdir())
        ended = [run for run in runs if (run / "result.json").is_file()]
        assert len(ended) == 1
        # One that was stopped before its first checkpoint is started again.
        assert len(runs) == (2 if (name, at) == ("training_step", 1) else 1)
        assert_equal(content(ended[0]), whole, f"{name} {at}")


def test_a_run_continues_as_if_its_project_had_not_been_moved(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing changes, so that the first validation is the best one, as the first of equals.
    freeze = ["--trainer.callbacks=FreezeBackbone", "--trainer.callbacks.epochs=9"]
    words = [*SHORT, *freeze, "--model.optimizer.lr=0", "--save_every_n_steps=1"]
    assert main([*words, "--run=whole"]) == 0
    with killed(PoseModule, "training_step", 6):
        main([*words, "--run=stopped"])
    moved = project.rename(project.with_name(f"{project.name}_moved"))
    monkeypatch.chdir(moved)
    assert main([*words, "--run=stopped", "--ckpt_path=auto"]) == 0
    whole, stopped = (moved / "checkpoints" / "tiny" / name for name in ("whole", "stopped"))
    assert content(whole)["best step"] == 4
    assert_equal(content(stopped), content(whole))


def stop_after_an_epoch(*words: str, at: int = 6) -> Path:
    """A run that was stopped at a step of its process, by default in its second epoch."""
    with killed(PoseModule, "training_step", at):
        main([*SHORT, *words])
    saved = sorted(path.parent for path in Path("checkpoints/tiny").glob("*/last.ckpt"))
    return next(run for run in saved if not (run / "result.json").exists())


def test_auto_begins_a_run_where_there_is_none_to_continue(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    auto = [*SHORT, "--ckpt_path=auto"]
    assert main(auto) == 0
    assert main(auto) == 0, "the first has ended"
    stopped = stop_after_an_epoch("--run=stopped")
    assert main([*auto, "--model.optimizer.lr=0.5"]) == 0, "another config"
    assert len(list(stopped.parent.iterdir())) == 4
    assert not (stopped / "result.json").exists()
    assert main(auto) == 0
    assert len(list(stopped.parent.iterdir())) == 4
    assert (stopped / "result.json").exists()
    assert "continues after step 4" in caplog.text


def test_a_run_goes_on_with_another_number_of_threads(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a study does that is started again with other --jobs, or on another machine.
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    stopped = stop_after_an_epoch("--run=stopped", "--threads=2")
    for threads in ([], ["--threads=3"]):
        (stopped / "result.json").unlink(missing_ok=True)
        assert main([*SHORT, "--run=stopped", "--ckpt_path=auto", *threads]) == 0
        assert [path.name for path in stopped.parent.iterdir()] == ["stopped"]
        assert json.loads((stopped / "result.json").read_text())["steps"] == 8


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = stop_after_an_epoch("--save_every_n_steps=1")
    last, previous = run / "last.ckpt", run / "last.previous.ckpt"
    steps = [torch.load(path, weights_only=True)["global_step"] for path in (last, previous)]
    assert steps == [5, 4]
    damaged, whole = last.read_bytes()[:-1000], previous.read_bytes()
    last.write_bytes(damaged)
    with pytest.warns(UserWarning, match=r"damaged .* continues from .*last\.previous\.ckpt"):
        stop_after_an_epoch("--save_every_n_steps=1", "--ckpt_path=auto", at=2)
    assert "continues after step 4" in caplog.text
    assert (run / "last.damaged.ckpt").read_bytes() == damaged
    # The first save since then has left the one before in its place.
    assert torch.load(last, weights_only=True)["global_step"] == 5
    assert previous.read_bytes() == whole
    assert main([*SHORT, "--save_every_n_steps=1", "--ckpt_path=auto"]) == 0
    assert json.loads((run / "result.json").read_text())["steps"] == 8


def test_a_checkpoint_that_cannot_be_read_now_is_not_called_damaged(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stop_after_an_epoch("--save_every_n_steps=1")

    load = torch.load

    def denied(path: Path, **options: object) -> object:
        if Path(path).name == "last.ckpt":
            raise PermissionError(errno.EACCES, "Permission denied")
        return load(path, **options)

    monkeypatch.setattr(torch, "load", denied)
    words = [*SHORT, "--save_every_n_steps=1", "--ckpt_path=auto"]
    assert "cannot be opened (Permission denied)" in refused(capsys, *words)
    assert (run / "last.ckpt").is_file()
    assert not (run / "last.damaged.ckpt").exists()


def test_a_signal_before_the_first_hook_of_a_resumed_training_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stop_after_an_epoch()
    stage = pl.Trainer._run_stage

    def terminate(self: pl.Trainer) -> None:
        signal.raise_signal(signal.SIGTERM)
        stage(self)

    # Lightning's own handler is set by then, and starts a broadcast that no other process joins.
    monkeypatch.setattr(pl.Trainer, "_run_stage", terminate)
    assert main([*SHORT, "--ckpt_path=auto"]) == 143
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 5


def test_without_a_whole_checkpoint_it_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = stop_after_an_epoch()
    (run / "last.ckpt").write_bytes(b"damaged")
    (run / "last.previous.ckpt").unlink(missing_ok=True)
    assert "Expected a checkpoint" in refused(capsys, *SHORT, "--ckpt_path=auto")


def test_a_run_that_is_being_trained_is_not_continued(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = stop_after_an_epoch()
    with FileLock(run / ".lock"):
        assert "in use by another process" in refused(capsys, *SHORT, "--ckpt_path=auto")


def test_a_run_in_another_folder_does_not_promise_the_best_of_the_first(project: Path) -> None:
    run = stop_after_an_epoch()
    words = [*SHORT, f"--ckpt_path={run / 'last.ckpt'}", "--run=other", "--trainer.max_epochs=2"]
    # Nothing is better than what the first run found.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LastCheckpoint, "_write", lambda *_: None)
        assert main(words) == 0
    result = json.loads((run.parent / "other" / "result.json").read_text())
    assert result["steps"] == 8
    assert (result["main"] is None) == (not (run.parent / "other" / "best.ckpt").exists())
