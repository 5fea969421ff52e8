"""The backbone compiled by torch.compile."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_warn

__all__ = ["Compile"]


class Compile(Callback):
    """Compiles the backbone, which takes most of the training time, with `torch.compile`.

    The first step of the training and of a validation then takes up to a minute, and so does the
    first image of another size. The names in checkpoints stay as they are, and results differ by
    rounding; dropout draws other numbers. Heads, which mostly are a few layers, are not compiled.

    Where torch cannot compile, for example without a C++ compiler, the network trains without it,
    and one warning says so.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compile the backbone in place, which keeps its parameters and their names."""
        # Whether torch can compile at all shows only when compiled code runs for the first time.
        # The backbone itself would take a minute for that, and count the images in its statistics.
        probe = torch.ones(8, device=pl_module.device)
        try:
            torch.compile(_smooth)(probe)
        # Compilers of all kinds are behind this, each with errors of its own.
        except Exception as error:
            reason = str(error).strip().splitlines()
            rank_zero_warn(
                "Expected torch.compile to work on this machine, found that it does not "
                f"({reason[0] if reason else type(error).__name__}); the network is trained "
                "without it. Install what is missing, or leave out the callback Compile."
            )
            return
        network: Any = pl_module.network  # Of a PoseModule, which callbacks cannot import.
        network.backbone.compile()


def _smooth(values: torch.Tensor) -> torch.Tensor:
    return values.sin() + values.cos()
