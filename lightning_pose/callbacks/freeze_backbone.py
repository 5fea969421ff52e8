"""A backbone that is frozen at first and trained later."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn
from torch.optim import Optimizer

from lightning_pose.errors import ConfigError

__all__ = ["FreezeBackbone"]


class FreezeBackbone(Callback):
    """Keeps the backbone, or stages of it, as it is for the first epochs.

    Heads start from random weights, and their first gradients would spoil a pretrained backbone.
    Weights and the statistics of batch norm stay; dropout is as in training, because heads learn
    from what follows it. Afterwards the whole network is trained, but for what the backbone itself
    keeps frozen (`frozen_stride`); `model.backbone_lr` sets the backbone's learning rate from then
    on.

    The gradients of the frozen backbone are computed and dropped. Parameters that required none
    would save time, but weightings need gradients at the features, and DDP would never average
    those of parameters that it did not see at the start. All parameters belong to the optimiser
    from the start, so schedules apply to them, and a run resumes in any epoch.

    Args:
        epochs: Number of epochs.
        stages: The names of the backbone's modules that are frozen, such as `layers.0` for the
            first stage of `VGG`; by default all.

    Raises:
        ConfigError: There is no epoch or no stage; or, when training starts, no such module.
    """

    def __init__(self, epochs: int, stages: Sequence[str] | None = None) -> None:
        if epochs < 1:
            raise ConfigError(
                f"Expected FreezeBackbone.epochs of 1 or more, found {epochs}; leave the callback "
                "out to train the backbone from the start."
            )
        if stages is not None and not stages:
            raise ConfigError(
                "Expected FreezeBackbone.stages to name modules of the backbone, found none; leave "
                "it out to freeze the whole backbone."
            )
        self.epochs = epochs
        self.stages = stages

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a name that the backbone does not have."""
        known = dict(_backbone(pl_module).named_modules())
        if missing := [name for name in self.stages or [] if name not in known]:
            names = [name for name in known if name.count(".") < 2 and name]
            raise ConfigError(
                f"Expected FreezeBackbone.stages to name modules of the backbone, such as "
                f"{', '.join(names[:8])}, found {missing[0]!r}; correct it."
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Release the statistics after the last frozen epoch."""
        if trainer.current_epoch == self.epochs:
            _backbone(pl_module).train()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Fix the statistics of what is frozen, also where a run resumes within an epoch."""
        if trainer.current_epoch < self.epochs:
            for stage in self._frozen(pl_module):
                for layer in stage.modules():
                    if hasattr(layer, "running_mean"):
                        layer.eval()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop the gradients of what is frozen; optimisers skip what has none."""
        if trainer.current_epoch < self.epochs:
            for stage in self._frozen(pl_module):
                for parameter in stage.parameters():
                    parameter.grad = None

    def _frozen(self, pl_module: pl.LightningModule) -> Iterator[nn.Module]:
        backbone = _backbone(pl_module)
        return map(backbone.get_submodule, [""] if self.stages is None else self.stages)


def _backbone(pl_module: Any) -> nn.Module:
    """The backbone of a PoseModule, which callbacks cannot import."""
    backbone: nn.Module = pl_module.network.backbone
    return backbone
