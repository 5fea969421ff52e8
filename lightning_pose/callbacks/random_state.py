"""Random numbers that depend on the step alone, so that a resumed run draws the same ones."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

__all__ = ["StepRandomState"]


class StepRandomState(Callback):
    """Seeds PyTorch before every training batch by the seed, the epoch, the batch and the process.

    Dropout then drops the same in a run that was resumed as in one that was not, and differently in
    each process.

    Args:
        seed: The seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the generators of PyTorch that the training uses."""
        key = [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        if pl_module.device.type == "cpu":
            # Not torch.manual_seed, which takes half a millisecond to note who has called it, for
            # each kind of device that is not there.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
