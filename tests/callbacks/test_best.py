"""best.ckpt, predictions.npz and the summary always come from the same validation."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_pose.callbacks import BestCheckpoint, RunSummary, SavePredictions
from lightning_pose.metrics import judge
from tests.callbacks.model import StubModel, answers, loader, make_trainer
from tests.metrics.people import make_people


class Told:
    """A listener that looks for best.ckpt whenever it is notified of a new one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers: list[int] = []

    def keep_best(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert saved(self.folder) == pl_module.number
        self.numbers.append(int(pl_module.number))


def saved(folder: Path) -> int:
    """The number of the validation that best.ckpt was written after."""
    return int(torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]["number"])


def fit(folder, mains, ckpt_path=None, **settings):
    model = StubModel(mains)
    save, summary, told = (
        SavePredictions(folder / "predictions.npz"),
        RunSummary(folder),
        Told(folder),
    )
    best = BestCheckpoint(folder, [save, summary, told])
    # Lightning moves checkpoint callbacks to the end, wherever they are listed.
    trainer = make_trainer(best, save, summary, **settings)
    people = make_people(8)
    trainer.fit(
        model,
        loader(*[people] * 8),
        loader(people),
        ckpt_path=ckpt_path,
        weights_only=None if ckpt_path is None else True,
    )
    return model, summary, told


def check(folder, model, summary, number):
    """Everything that is kept comes from one validation."""
    assert saved(folder) == number
    kept = np.load(folder / "predictions.npz")
    people = make_people(8)
    keypoints = judge(answers(people, number)["joints"], people).keypoints
    np.testing.assert_allclose(kept["joints/keypoints"], keypoints, rtol=1e-6)
    figures = {k: v for k, v in model.history[number].items() if k.split("/")[0] in answers_of}
    assert summary.results == pytest.approx(figures)
    assert len(figures) == 6


answers_of = ("joints", "mask", "sport", "age")


@pytest.mark.parametrize(
    ("settings", "mains", "told"),
    [
        # The first that is higher than all earlier ones; equal ones do not count.
        ({"max_epochs": 5}, [0.2, 0.1, 0.3, 0.3, 0.25], [0, 2]),
        ({"max_epochs": 2, "val_check_interval": 4}, [-9.0, -8.0, -8.5, -7.0], [0, 1, 3]),
        # Between two optimiser steps Lightning does not write, however good the value is.
        (
            {"max_epochs": 1, "accumulate_grad_batches": 4, "val_check_interval": 2},
            [0.1, 0.2, 0.9, 0.4],
            [1, 3],
        ),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, [0.2, 0.4], [0, 1]),
        ({"max_epochs": 3, "num_sanity_val_steps": 0}, [0.2, 0.1, 0.0], [0]),
    ],
)
def test_what_is_kept_is_of_the_validation_of_best_ckpt(tmp_path, settings, mains, told) -> None:
    model, summary, listener = fit(tmp_path, mains, **settings)
    assert len(model.history) == len(mains)
    assert listener.numbers == told
    check(tmp_path, model, summary, told[-1])


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_run_that_resumes_keeps_what_was_better(tmp_path) -> None:
    model, _, _ = fit(tmp_path, [0.5, 0.6], max_epochs=2)
    before = (tmp_path / "predictions.npz").read_bytes()
    checkpoint = tmp_path / "best.ckpt"
    mains = [0.5, 0.6, 0.4, 0.7]
    _, summary, told = fit(tmp_path, mains, checkpoint, max_epochs=3)
    assert told.numbers == []
    assert summary.results == {}
    assert (tmp_path / "predictions.npz").read_bytes() == before
    model, summary, told = fit(tmp_path, [0.5, 0.6, 0.7], checkpoint, max_epochs=3)
    assert told.numbers == [2]
    model.history = [{}, {}, *model.history]
    check(tmp_path, model, summary, 2)


def test_a_run_whose_folder_was_moved_keeps_what_was_better(tmp_path) -> None:
    fit(tmp_path / "here", [0.5, 0.6], max_epochs=2)
    folder = (tmp_path / "here").rename(tmp_path / "there")
    for mains, numbers in (([0.5, 0.6, 0.55, 0.58], []), ([0.5, 0.6, 0.55, 0.7], [3])):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Checkpoint directory")
            _, _, told = fit(folder, mains, folder / "best.ckpt", max_epochs=4)
        assert told.numbers == numbers
    assert not (tmp_path / "here").exists()


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_that_resumes_in_another_folder_begins_anew(tmp_path) -> None:
    fit(tmp_path / "one", [0.5, 0.6], max_epochs=2)
    (tmp_path / "other").mkdir()
    _, summary, told = fit(
        tmp_path / "other", [0.5, 0.6, 0.4], tmp_path / "one" / "best.ckpt", max_epochs=3
    )
    assert told.numbers == [2]
    assert summary.best()[0]["main"] == pytest.approx(0.4)


def test_nothing_is_kept_of_a_trial(tmp_path) -> None:
    _, summary, told = fit(tmp_path, [0.5], fast_dev_run=True)
    assert told.numbers == []
    assert summary.results == {}
    assert list(tmp_path.iterdir()) == []
