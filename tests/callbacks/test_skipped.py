"""After an epoch, a warning says who was skipped in all processes."""

import warnings
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import pytorch_lightning as pl
import torch

from lightning_pose.callbacks.skipped import SkippedPeople
from tests.metrics.people import make_people


def trainer(unreadable: str = "skip", processes: int = 1) -> MagicMock:
    datamodule = SimpleNamespace(unreadable=unreadable)
    return MagicMock(pl.Trainer, datamodule=datamodule, world_size=processes, current_epoch=4)


def seen(skipped: list[str], unreadable: str = "skip") -> SkippedPeople:
    """A callback that has seen a batch of people, of whom some were skipped."""
    batch = make_people(len(skipped) + 2)
    batch.image_id[1:-1] = skipped
    batch.image_size[1:-1] = 0
    # An image without height alone is not how a skipped person is marked.
    batch.image_size[0, 0] = 0
    callback = SkippedPeople()
    callback.on_train_batch_end(
        trainer(unreadable), MagicMock(spec=pl.LightningModule), None, batch, 0
    )
    return callback


def ends(callback: SkippedPeople, processes: int = 1) -> None:
    callback.on_train_epoch_end(trainer(processes=processes), MagicMock(spec=pl.LightningModule))


def test_people_are_counted_and_their_images_named_once() -> None:
    callback = seen(["d.jpg", "b.jpg", "d.jpg"])
    with pytest.warns(UserWarning, match=r" 3 people were skipped in epoch 4, .*: b.jpg, d.jpg; "):
        ends(callback)
    with warnings.catch_warnings(action="error"):
        ends(callback)  # They were of the epoch before.


def test_some_of_many_are_named() -> None:
    with pytest.warns(UserWarning, match=r" 6 people .*: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, ...; "):
        ends(seen([f"{number}.jpg" for number in range(6)]))


def test_nobody_is_looked_for_where_a_damaged_file_ends_the_run() -> None:
    callback = seen(["a.jpg"], unreadable="stop")
    with warnings.catch_warnings(action="error"):
        ends(callback)


def test_the_people_of_all_processes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    callback, other = seen(["b.jpg"]), seen(["a.jpg", "c.jpg"])

    def gather(gathered: list[list[str]], images: list[str]) -> None:
        gathered[:] = [images, other._images]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    with pytest.warns(UserWarning, match=r" 3 people were .*: a.jpg, b.jpg, c.jpg; "):
        ends(callback, processes=2)
