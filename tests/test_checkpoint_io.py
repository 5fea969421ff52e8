"""A checkpoint is whole or the one before it, whatever happens while it is written."""

import errno
import os
from pathlib import Path

import pytest
import torch

from lightning_pose.checkpoint_io import AtomicCheckpointIO
from lightning_pose.errors import CheckpointError

OLD, NEW = {"weights": torch.zeros(1000)}, {"weights": torch.ones(1000)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(OLD, path)
    return path


def test_a_new_checkpoint_replaces_the_one_before(path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(NEW, path)
    found = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert torch.equal(found["weights"], NEW["weights"])
    assert [one.name for one in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_one_before(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(CheckpointError, match=r"No space left.* earlier checkpoints are kept"):
        AtomicCheckpointIO().save_checkpoint(NEW, path)
    assert torch.equal(torch.load(path, weights_only=True)["weights"], OLD["weights"])
    assert [one.name for one in path.parent.iterdir()] == ["last.ckpt"]


def test_it_is_on_disk_before_it_takes_the_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append("sync") or sync(number))
    monkeypatch.setattr(
        Path, "replace", lambda one, other: done.append(one.parent.name) or replace(one, other)
    )
    AtomicCheckpointIO().save_checkpoint(NEW, path)
    # In the folder of the run, which is on one file system, and the folder's own entry last.
    assert done == ["sync", "run", "sync"]
