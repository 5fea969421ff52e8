"""L1 regularisation of the weights."""

import math

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.optim import Optimizer

from lightning_pose.backbones.harmonic import HarmonicFilters
from lightning_pose.errors import ConfigError
from lightning_pose.precision import check_unscaled

__all__ = ["L1Penalty"]


class L1Penalty(Callback):
    """Pulls weights towards 0 by a constant force: the gradient of their summed absolute values.

    It is added just before the optimiser step, when gradients are complete and no longer scaled, so
    that accumulation, several processes and half precision change nothing; a fused optimiser in
    16-mixed precision, whose gradients are still scaled then, is refused. Biases, batch norm
    and the phases of harmonic filters, which are angles, are left alone. The logged losses do not
    include the penalty, so that those of different strengths can be compared. Squares (L2) need no
    callback: they are the optimiser's `weight_decay`.

    Args:
        strength: What the sum of the absolute weights is multiplied by; 1e-5 is a start.

    Raises:
        ConfigError: `strength` is not above 0; or, in training, gradients are still scaled.
    """

    def __init__(self, strength: float) -> None:
        if not 0 < strength < math.inf:
            raise ConfigError(
                f"Expected L1Penalty.strength above 0, found {strength}; leave out the callback "
                "for no penalty."
            )
        self.strength = strength

    @torch.no_grad()
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Add the gradient of the penalty to that of the loss."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        check_unscaled(optimizer, scaler, "for an L1 penalty", "leave out L1Penalty")
        phases = {
            layer.phase for layer in pl_module.modules() if isinstance(layer, HarmonicFilters)
        }
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                # Biases and batch norm have one axis.
                pulled = parameter.dim() > 1 and parameter not in phases
                if parameter.grad is not None and pulled:
                    parameter.grad.add_(parameter.sign(), alpha=self.strength)
