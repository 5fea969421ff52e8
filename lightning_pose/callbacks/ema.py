"""An exponential moving average of the weights."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging
from typing_extensions import override

from lightning_pose.errors import ConfigError

__all__ = ["EMA"]


class EMA(EMAWeightAveraging):
    """Validates and saves an exponential moving average of weights and statistics over the steps.

    It is Lightning's callback: checkpoints have the average as their weights, which `load` and
    `validate` use, and beside it the trained weights, from which a run resumes. Two things differ.
    The average is kept on the device of the training, where Lightning keeps it on the CPU. At the
    end of training, the model keeps its trained weights, because last.ckpt is written after that.

    Args:
        decay: The share of the past in the average at each step, above 0 and below 1. The average
            spans about 1 / (1 - decay) steps, which should be few compared with the training.

    Raises:
        ConfigError: `decay` is out of range.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ConfigError(
                f"Expected EMA.decay above 0 and below 1, found {decay}; 0.999 is usual for "
                "trainings of many thousand steps."
            )
        super().__init__(decay=decay)

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # The model is not on its device yet.
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pass  # Lightning replaces the trained weights by the average here.
