"""A run that resumes sees what an uninterrupted one would have seen."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lightning_pose.errors import ConfigError
from lightning_pose.input_spec import InputSpec
from tests.data.lspet import write_lspet
from tests.datamodules.recording import QUIET, Recorder, SaveAt, fit, module

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=20)
    return root


@pytest.mark.parametrize(
    ("hook", "batches", "settings"),
    [
        ("on_train_batch_end", 2, {}),
        ("on_train_batch_end", 3, {}),  # the last of its epoch
        ("on_train_batch_end", 5, {"max_steps": 12, "max_epochs": -1}),
        ("on_train_batch_end", 2, {"limit_train_batches": 2}),  # the last of its epoch
        ("on_train_batch_end", 3, {"limit_train_batches": 2}),
        ("on_validation_end", 4, {"limit_train_batches": 2}),
        ("on_validation_end", 2, {"val_check_interval": 1}),
        ("on_validation_start", 3, {}),
        ("on_validation_batch_end", 5, {}),
        ("on_validation_end", 3, {}),
        ("on_train_epoch_end", 3, {}),
        ("on_train_epoch_end", 5, {"max_steps": 12, "max_epochs": -1}),
        ("on_train_epoch_end", 3, {"limit_train_batches": 2}),
    ],
)
def test_a_resumed_run_sees_what_an_uninterrupted_one_would_have(
    root: Path, tmp_path: Path, hook: str, batches: int, settings: dict[str, Any]
) -> None:
    path = tmp_path / "some.ckpt"
    whole = fit(module(root), [SaveAt(hook, batches, path)], **settings)
    steps = torch.load(path, weights_only=True)["global_step"]
    resumed = fit(module(root), ckpt_path=path, **settings)
    assert resumed == whole[steps:]
    assert 0 < len(resumed) < len(whole)


@pytest.mark.parametrize(("hook", "batches"), [("on_train_batch_end", 2), ("on_validation_end", 3)])
def test_resuming_survives_workers_and_a_scheduler_that_asks_for_the_number_of_steps(
    root: Path, tmp_path: Path, hook: str, batches: int
) -> None:
    path = tmp_path / "some.ckpt"
    whole = fit(module(root), [SaveAt(hook, batches, path)], max_epochs=2)
    data = module(root, num_workers=1)
    assert fit(data, ckpt_path=path, ask_for_steps=True, max_epochs=2) == whole[batches:]


@pytest.mark.parametrize("batches", [2, 4])
def test_buckets_of_unequal_sizes_resume_too(root: Path, tmp_path: Path, batches: int) -> None:
    path = tmp_path / "some.ckpt"
    settings = {"input_spec": InputSpec(size=None, short_side=32), "batch_size": 4}
    save = SaveAt("on_train_batch_end", batches, path)
    whole = fit(module(root, **settings), [save], max_epochs=2)
    assert fit(module(root, **settings), ckpt_path=path, max_epochs=2) == whole[batches:]


def test_a_batch_that_broke_is_seen_again(root: Path, tmp_path: Path) -> None:
    whole = fit(module(root), max_epochs=2)
    path = tmp_path / "broken.ckpt"

    class SaveOnException(Callback):
        def on_exception(self, trainer: pl.Trainer, *args: Any) -> None:
            trainer.save_checkpoint(path)

    with pytest.raises(KeyError, match="breaks"):
        fit(module(root), [SaveOnException()], stop_at=4)
    assert fit(module(root), ckpt_path=path, max_epochs=2) == whole[4:]


def test_a_second_interruption_is_survived_too(root: Path, tmp_path: Path) -> None:
    whole = fit(module(root))
    first, second = tmp_path / "first.ckpt", tmp_path / "second.ckpt"
    fit(module(root), [SaveAt("on_validation_end", 3, first)], max_epochs=2)
    again = fit(module(root), [SaveAt("on_train_batch_end", 5, second)], ckpt_path=first)
    assert again == whole[3:]
    assert fit(module(root), ckpt_path=second) == whole[3 + 5 :]


def test_a_new_trainer_starts_from_the_beginning_and_the_same_one_resumes(root: Path) -> None:
    data = module(root)
    whole = fit(data)
    assert fit(data) == whole
    trainer = pl.Trainer(max_epochs=1, **QUIET)
    recorder = Recorder()
    trainer.fit(recorder, data)
    assert trainer.fit_loop.max_epochs == 1
    trainer.fit_loop.max_epochs = 3
    trainer.fit(recorder, data)
    assert recorder.seen == whole[:9]


@pytest.mark.parametrize("settings", [{"batch_size": 2}, {"train": (1, 9)}])
@pytest.mark.parametrize("batches", [5, 6])
def test_a_run_does_not_resume_with_epochs_of_another_length(
    root: Path, tmp_path: Path, batches: int, settings: dict[str, Any]
) -> None:
    path = tmp_path / "some.ckpt"
    fit(module(root), [SaveAt("on_train_batch_end", batches, path)], max_epochs=2)
    for ask_for_steps in (False, True):
        with pytest.raises(ConfigError, match=r"Expected 3 batches per epoch.*begin a new run"):
            fit(module(root, **settings), ckpt_path=path, ask_for_steps=ask_for_steps)
