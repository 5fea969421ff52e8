"""The checkpoint from which a run resumes."""

import signal
import time
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.optim import Optimizer
from typing_extensions import override

from lightning_pose.atomic import sync_file, sync_folder
from lightning_pose.errors import ConfigError
from lightning_pose.runs import LAST, PREVIOUS

__all__ = ["LastCheckpoint"]

_NEW = f"new.{LAST}"
"""A checkpoint that is not in its place yet."""

_LOGGED = ("metrics.csv", "events.out.tfevents*")


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt, from which a run resumes as if it had never stopped.

    It is written after every validation, at the end of training, at SIGTERM and Ctrl-C, and every
    so many steps and minutes. The one before stays as last.previous.ckpt. It is only written
    between two optimiser steps, and never before a validation that is due. It takes its place once
    metrics.csv and TensorBoard's files hold on disk what the steps before it have logged: a resumed
    run drops what was logged after its checkpoint, and would miss what was not.

    SIGTERM and Ctrl-C end a run in all of its processes at the next such place, with last.ckpt
    written there. A single process that is in a validation ends at once, and last.ckpt stays that
    of before. A second Ctrl-C ends it anywhere. SIGUSR1, by which clusters often announce the end
    of a job's time, does the same as SIGTERM.

    Every checkpoint names the optimiser and the scheduler, because their states mean nothing to
    others.

    Args:
        folder: The folder for last.ckpt.
        every_n_steps: Also save after so many optimiser steps; None saves after none.
        every_n_minutes: Also save after so many minutes.
    """

    def __init__(
        self, folder: Path, every_n_steps: int | None = None, every_n_minutes: float = 10.0
    ) -> None:
        self.folder = folder
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self._saved_at: int | None = None
        self._saved_time = 0.0
        self._resumed: list[str] | None = None
        self._present: list[str] = []
        self._due = False
        self._written = False
        self._signal: int | None = None
        self._stop = False

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": self._present}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        names = state_dict.get("optimizers")
        self._resumed = [str(name) for name in names] if isinstance(names, list) else None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the optimiser with that of the checkpoint, before its state is loaded.

        Raises:
            ConfigError: The checkpoint to resume from has another optimiser or scheduler.
        """
        self._signal, self._stop, self._written = None, False, False
        # What Lightning sets for SIGTERM before `_handle_signals` calls this method: no hook is
        # between them, but the processes wait for each other and the data workers start.
        trainer._signal_connector._sigterm_notifier_fn = self._note_signal  # type: ignore[assignment, method-assign]
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self._present = [_name(optimizer) for optimizer in trainer.optimizers]
        self._present += [type(scheduler).__name__ for scheduler in schedulers]
        if self._resumed not in (None, self._present):
            raise ConfigError(
                f"Expected to resume with {' and '.join(self._resumed)}, as in the checkpoint, "
                f"found {' and '.join(self._present)}; start a new run with --init_from to change "
                "the optimiser or the scheduler."
            )

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Handle signals from here on."""
        self._handle_signals()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Handle signals, and note the step at which a resumed run starts, which is saved."""
        self._handle_signals()
        self._note_saved(trainer)

    def _handle_signals(self) -> None:
        """Take the place of Lightning's handlers, which it removes itself at the end.

        Its SIGTERM handler starts a broadcast wherever the process happens to be, and waits forever
        if the other processes are elsewhere. It is set after `on_fit_start`; handlers that were
        set before it would stay after the end.
        """
        if current_thread() is main_thread():
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
                signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, *_: Any) -> None:
        if number == signal.SIGINT:
            if self._signal == number:
                raise KeyboardInterrupt
            rank_zero_info(
                "Interrupted: the run ends after this step, with last.ckpt written, or at once if "
                "it is in a validation. Press Ctrl-C again to end it at once."
            )
        self._signal = number

    def _end(self) -> NoReturn:
        """End this process as its signal asks; where only another one got a signal, by SIGTERM."""
        raise KeyboardInterrupt if self._signal == signal.SIGINT else SIGTERMException

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Put the last step's checkpoint in its place; end the run after a signal.

        Raises:
            SIGTERMException: The run was sent SIGTERM, and last.ckpt is saved.
            KeyboardInterrupt: Likewise after Ctrl-C.
        """
        self._publish(trainer)
        if self._stop:
            self._end()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save after a signal and after an interval, at the next place where that is exact.

        What this step has logged is written after this, so the checkpoint waits for the next one.
        """
        before = self._saved_at or 0
        steps = self.every_n_steps
        if steps is not None and trainer.global_step - before >= steps:
            self._due = True
        late = time.monotonic() - self._saved_time > 60 * self.every_n_minutes
        stop, late = self._anywhere(trainer, self._signal is not None, late)
        self._due |= late or stop
        if self._due and _is_complete(trainer, batch_idx) and not _is_validated(trainer, batch_idx):
            self._stop = stop
            self._write(trainer)

    @staticmethod
    def _anywhere(trainer: pl.Trainer, *decisions: bool) -> list[bool]:
        """Which of the decisions any process has made; the same in all of them."""
        if trainer.world_size == 1:
            return list(decisions)
        counts = torch.tensor(decisions, dtype=torch.int32, device=trainer.strategy.root_device)
        return [count > 0 for count in trainer.strategy.reduce(counts, reduce_op="sum").tolist()]

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """End a single process after a signal.

        Raises:
            SIGTERMException: The process was sent SIGTERM.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._signal is not None and trainer.world_size == 1 and trainer.state.fn == "fit":
            self._end()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after a validation of `fit`, except for the sanity check before it."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        (stop,) = self._anywhere(trainer, self._signal is not None)
        self._due = True
        if _is_complete(trainer, trainer.fit_loop.batch_idx):
            self._stop = stop
            self._write(trainer)
            self._publish(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the steps since the last validation."""
        if self._saved_at != trainer.global_step:
            self._write(trainer)
        self._publish(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint beside its place."""
        if getattr(trainer, "fast_dev_run", False):  # An attribute without annotation.
            return
        trainer.save_checkpoint(self.folder / _NEW, weights_only=False)
        self._written = True
        self._note_saved(trainer)

    def _publish(self, trainer: pl.Trainer) -> None:
        """Put the checkpoint that was written in its place, after what was logged before it."""
        if not self._written:
            return
        self._written = False
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            for pattern in _LOGGED:
                for path in self.folder.glob(pattern):
                    sync_file(path)
            last = self.folder / LAST
            if last.is_file():
                last.replace(self.folder / PREVIOUS)
            (self.folder / _NEW).replace(last)
            sync_folder(self.folder)

    def _note_saved(self, trainer: pl.Trainer) -> None:
        self._saved_at, self._saved_time, self._due = trainer.global_step, time.monotonic(), False


def _is_complete(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a batch of an epoch ends an optimiser step: gradients are not in a checkpoint."""
    return trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches == 0


def _is_validated(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a validation or the end of the epoch follows on a batch.

    A run that resumed in between would leave them out.
    """
    every = trainer.val_check_batch
    if trainer.check_val_every_n_epoch is None:
        batch_idx = trainer.fit_loop.total_batch_idx
    return trainer.is_last_batch or (every is not None and (batch_idx + 1) % every == 0)


def _name(optimizer: Optimizer) -> str:
    """The class, and how many groups of parameters with settings of their own there are."""
    groups = len(optimizer.param_groups)
    return type(optimizer).__name__ + (f" of {groups} groups" if groups > 1 else "")
