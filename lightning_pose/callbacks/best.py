"""The checkpoint of the best validation, and listeners that save more from that validation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from typing_extensions import override

__all__ = ["BestCheckpoint", "KeepsBest"]


@runtime_checkable
class KeepsBest(Protocol):
    """A listener that `BestCheckpoint` notifies of a new best validation."""

    def keep_best(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save data from the validation for which best.ckpt was just written.

        It is called in every process, before the next validation starts.

        Args:
            trainer: The trainer, whose callback metrics are those of this validation.
            pl_module: The model.
        """


class BestCheckpoint(ModelCheckpoint):
    """Writes best.ckpt after every validation whose `val/main` is higher than all earlier ones.

    It alone decides which validation is the best, and notifies its listeners if and only if it has
    written the file. Everything that a run saves from its best validation therefore matches
    best.ckpt, even where Lightning skips writing, as between two optimiser steps, and after a run
    is resumed, also if its folder was moved.

    Args:
        folder: The folder for best.ckpt.
        listeners: Notified after each new best.ckpt, in this order. Listeners that collect data
            during a validation are also callbacks of the trainer: Lightning runs them before every
            checkpoint callback.
    """

    def __init__(self, folder: Path, listeners: Sequence[KeepsBest] = ()) -> None:
        super().__init__(
            folder,
            "best",
            "val/main",
            mode="max",
            save_on_train_epoch_end=False,  # There may have been no validation in the epoch.
            enable_version_counter=False,
        )
        self.listeners = listeners

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = Path(str(self.dirpath), "best.ckpt")
        # A run that resumes in another folder starts with an empty one. Where best.ckpt is there,
        # the folder is that of the state, perhaps moved, and Lightning compares absolute paths.
        if state_dict["best_model_path"] and best.is_file():
            moved = {"dirpath": self.dirpath, "best_k_models": {str(best): state_dict["kth_value"]}}
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(best))
            state_dict = {**state_dict, **moved, **paths}
        super().load_state_dict(state_dict)

    @override
    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        # Lightning has no public hook here. Every process calls this method, and, without save_last
        # and save_on_exception, only for a new best validation.
        super()._save_checkpoint(trainer, filepath)
        for listener in self.listeners:
            listener.keep_best(trainer, trainer.lightning_module)
