"""The learning rate beside the losses."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lightning_pose.logged_steps import is_logged

__all__ = ["LearningRate"]


class LearningRate(Callback):
    """Logs the learning rate of the heads as `lr` in the steps that loggers write.

    Lightning's `LearningRateMonitor` writes rows of its own, which have no epoch and no losses.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Log the rate with which this batch is trained."""
        if is_logged(trainer):
            # The first group has the weights of the heads; those of the backbone may have another.
            pl_module.log("lr", trainer.optimizers[0].param_groups[0]["lr"])
