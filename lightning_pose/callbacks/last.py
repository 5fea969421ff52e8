"""The checkpoint from which a run resumes."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException
from typing_extensions import override

from lightning_pose.errors import ConfigError

__all__ = ["LastCheckpoint"]


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt after every validation, at the end of training, and at SIGTERM.

    A run that `max_steps` ended within an epoch resumes with the next epoch. SIGTERM saves between
    two steps of a single process; during a validation, last.ckpt stays that of the one before.

    Every checkpoint names the optimiser and the scheduler, because their states mean nothing to
    others.

    Args:
        folder: The folder for last.ckpt.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"
        self._saved_at: int | None = None
        self._resumed: list[str] | None = None
        self._present: list[str] = []

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": self._present}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        names = state_dict.get("optimizers")
        self._resumed = [str(name) for name in names] if isinstance(names, list) else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the step at which a resumed run starts, which is saved already.

        Raises:
            ConfigError: The checkpoint to resume from has another optimiser or scheduler.
        """
        self._saved_at = trainer.global_step
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self._present = [type(one).__name__ for one in (*trainer.optimizers, *schedulers)]
        if self._resumed not in (None, self._present):
            raise ConfigError(
                f"Expected to resume with {' and '.join(self._resumed)}, as in the checkpoint, "
                f"found {' and '.join(self._present)}; start a new run with --init_from to change "
                "the optimiser or the scheduler."
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after a validation of `fit`, except for the sanity check before it."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the steps since the last validation."""
        if self._saved_at != trainer.global_step:
            self._save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save if the process was sent SIGTERM, which ends training between two batches.

        Any other exception may leave a step half done, or weights that are NaN. With several
        processes, saving would wait for processes that have already exited.
        """
        between_steps = isinstance(exception, SIGTERMException) and not trainer.validating
        if between_steps and trainer.world_size == 1:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if not getattr(trainer, "fast_dev_run", False):  # An attribute without annotation.
            self._saved_at = trainer.global_step
            trainer.save_checkpoint(self.path, weights_only=False)
