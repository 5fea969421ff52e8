"""A backbone that is frozen at first and trained later."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.optim import Optimizer

from lightning_pose.errors import ConfigError

__all__ = ["FreezeBackbone"]


class FreezeBackbone(Callback):
    """Keeps the backbone's weights and statistics as they are for the first epochs.

    Heads start from random weights, and their first gradients would spoil a pretrained backbone.
    Afterwards the whole network is trained, but for what the backbone itself keeps frozen
    (`frozen_stride`); `model.backbone_lr` sets the backbone's learning rate from then on.

    The gradients of the frozen backbone are computed and dropped. Parameters that required none
    would save time, but weightings need gradients at the features, and DDP would never average
    those of parameters that it did not see at the start. All parameters belong to the optimiser
    from the start, so schedules apply to them, and a run resumes in any epoch.

    Args:
        epochs: Number of epochs.

    Raises:
        ConfigError: There is no epoch.
    """

    def __init__(self, epochs: int) -> None:
        if epochs < 1:
            raise ConfigError(
                f"Expected FreezeBackbone.epochs of 1 or more, found {epochs}; leave the callback "
                "out to train the backbone from the start."
            )
        self.epochs = epochs

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Fix the statistics of the frozen backbone, or release them."""
        backbone = _backbone(pl_module)
        trained = trainer.current_epoch >= self.epochs
        if backbone.training != trained:
            backbone.train(trained)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop the gradients of the frozen backbone; optimisers skip what has none."""
        if trainer.current_epoch < self.epochs:
            for parameter in _backbone(pl_module).parameters():
                parameter.grad = None


def _backbone(pl_module: Any) -> Any:
    """The backbone of a PoseModule, which callbacks cannot import."""
    return pl_module.network.backbone
