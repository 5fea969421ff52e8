"""The learning rate beside the losses."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

__all__ = ["LearningRate"]


class LearningRate(Callback):
    """Logs the learning rate of the network in each step as `lr`.

    Lightning's `LearningRateMonitor` writes rows of its own, which have no epoch and no losses.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Log the rate with which this batch is trained."""
        # The first group has the weights of the network.
        pl_module.log("lr", trainer.optimizers[0].param_groups[0]["lr"])
