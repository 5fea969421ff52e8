"""A callback that makes the loss of one process NaN, for the drill of faults."""

import pytorch_lightning as pl
import torch

STEP = 4
"""The optimiser step at which it becomes NaN."""


class NaNInSecondProcess(pl.Callback):
    """Sets weights to NaN in the second process, so that the loss becomes NaN only there."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if trainer.global_rank == 1 and trainer.global_step == STEP:
            with torch.no_grad():
                next(pl_module.network.heads["mask"].parameters()).fill_(torch.nan)
