"""The short table at the end of a run: its best figures, where it is, and what to type next."""

import shlex
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.table import Table

from lightning_pose.callbacks.best import BestValidation
from lightning_pose.runs import begin_run

__all__ = ["RunSummary"]


class RunSummary(Callback):
    """Keeps the figures of the best validation, and prints them when `fit` has ended.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.best = BestValidation()
        self.figures: dict[str, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the figures of the best validation so far."""
        if self.best.is_new(trainer):
            self.figures = {
                key.removeprefix("val/"): float(value)
                for key, value in trainer.callback_metrics.items()
                if key.startswith("val/") and key.count("/") == 2 and "/loss/" not in key
            }

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """From the first step on, the run's folder stays, however the run ends."""
        begin_run()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Print what there is when the run is interrupted from the keyboard."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            self.print()

    def print(self) -> None:
        """Print the table, the run's folder, and the next command."""
        console = Console()
        if not (self.run / "best.ckpt").is_file():
            lines = [f"No validation was kept: there is no best.ckpt in {self.run}."]
        else:
            table = Table("head", "metric", "best", title="Validation figures of best.ckpt")
            for key, value in sorted(self.figures.items()):
                head, metric = key.split("/")
                table.add_row(head, metric, f"{value:.4f}")
            console.print(table)
            checkpoint = shlex.quote(str(self.run / "best.ckpt"))
            lines = [
                f"Run folder: {self.run}",
                f"Next: lightning predict --ckpt_path {checkpoint} --images PICTURES "
                "--output predictions",
            ]
        for line in lines:
            # As it is, so that the command can be copied whole.
            console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)
