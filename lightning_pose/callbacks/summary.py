"""The short table at the end of a run: its best figures, where it is, and what to type next."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.table import Table

__all__ = ["RunSummary"]


class RunSummary(Callback):
    """Keeps the figures of the best validation, and prints them when `fit` has ended.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.best = float("-inf")
        self.figures: dict[str, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the figures of the best validation so far."""
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        if not trainer.sanity_checking and metrics.get("val/main", float("nan")) > self.best:
            self.best = metrics["val/main"]
            self.figures = {
                key.removeprefix("val/"): value
                for key, value in metrics.items()
                if key.startswith("val/") and key.count("/") == 2 and "/loss/" not in key
            }

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Print what there is when the run is interrupted from the keyboard."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            self.print()

    def print(self) -> None:
        """Print the table, the run's folder, and the next command."""
        if not (self.run / "best.ckpt").is_file():
            Console().print(f"No validation has finished: there is no best.ckpt in {self.run}.")
            return
        table = Table("head", "metric", "best", title="Validation figures of best.ckpt")
        for key, value in sorted(self.figures.items()):
            head, metric = key.split("/")
            table.add_row(head, metric, f"{value:.4f}")
        console = Console()
        console.print(table)
        # Not wrapped, so that the command can be copied whole.
        for line in (
            f"Run folder: {self.run}",
            f"Next: lightning predict --ckpt_path {self.run / 'best.ckpt'} --images PICTURES "
            "--output predictions",
        ):
            console.print(line, soft_wrap=True, highlight=False)
