"""The summary at the end of a run: its best metrics, its folder, and the next command."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.table import Table

from lightning_pose.atomic import replacing

__all__ = ["RunSummary"]


class RunSummary(Callback):
    """Keeps the metrics of best.ckpt, and writes and prints them when `fit` ends.

    It is a listener of `BestCheckpoint`. The file result.json marks a run that has ended:

    * `metrics`: the metrics of best.ckpt by "HEAD/METRIC", and `main`, its main metric, null
      without a completed validation; `step`, the optimiser steps before that validation;
    * `steps` and `epochs` of the whole run, and the `seconds` from its first step to its end,
      including validations;
    * `parameters`: how many numbers the model learns, and `device`, what it ran on.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.results: dict[str, float] = {}
        self._best: dict[str, Any] = {"main": None, "step": None}
        self._start = 0.0
        self._title = ""
        self._units: dict[str, str] = {}
        self._caveat = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note when training starts."""
        self._start = time.monotonic()

    def keep_best(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the metrics of a new best validation."""
        data = getattr(trainer, "datamodule", None)
        # Of the metrics per group, those of the sets of a mix.
        sets = tuple(f"/{name}" for name in getattr(data, "set_names", ()))
        self.results = {
            key.removeprefix("val/"): float(value)
            for key, value in trainer.callback_metrics.items()
            if key.startswith("val/") and "/loss/" not in key
            if key.count("/") == 2 or (key.count("/") == 3 and key.endswith(sets))
        }
        main = float(trainer.callback_metrics["val/main"])
        self._best = {"main": main, "step": trainer.global_step}
        sign = " (negated, since lower is better)" if main < 0 else ""
        self._title = f"best.ckpt: epoch {trainer.current_epoch}, val/main {main:.4f}{sign}"
        self._caveat = getattr(data, "caveat", "")
        metrics = getattr(pl_module, "metrics", {})
        self._units = {name: metric.unit for name, metric in metrics.items()}

    def save(self, trainer: pl.Trainer) -> None:
        """Write result.json for a run that has ended."""
        parameters = trainer.lightning_module.parameters()
        result = {
            **self._best,
            "metrics": self.results,
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "seconds": round(time.monotonic() - self._start, 3),
            "parameters": sum(p.numel() for p in parameters if p.requires_grad),
            "device": trainer.strategy.root_device.type,
        }
        with replacing(self.run / "result.json") as file:
            file.write(json.dumps(result, indent=1).encode())

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Print the summary so far if the run is interrupted from the keyboard."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            self.print(interrupted=True)

    def print(self, interrupted: bool = False) -> None:
        """Print the table, the run's folder, and the next command.

        Args:
            interrupted: Whether training has not ended; then, also how to go on with it.
        """
        console = Console()
        if not (self.run / "best.ckpt").is_file():
            lines = [f"Found no best.ckpt in {self.run}: no validation was completed and saved."]
        else:
            # A resumed run that found nothing better has no metrics of best.ckpt.
            if self.results:
                console.print(self._title, highlight=False)
                console.print(self._table())
            checkpoint = shlex.quote(str(self.run / "best.ckpt"))
            lines = [
                f"Run folder: {self.run}",
                f"Next: lightning predict --ckpt_path {checkpoint} --images IMAGES "
                "--output predictions",
            ]
            lines += [f"Note: {self._caveat}"] if self._caveat else []
        if interrupted and (self.run / "last.ckpt").is_file():
            config, last = (shlex.quote(str(self.run / n)) for n in ("config.yaml", "last.ckpt"))
            lines += [f"Resume: lightning fit --config {config} --ckpt_path {last}"]
        for line in lines:
            # Without wrapping and markup, so that the command can be copied in one piece.
            console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def _table(self) -> Table:
        table = Table("head", "metric", "value")
        for key, value in sorted(self.results.items()):
            head, metric = key.split("/", 1)
            unit = self._units.get(metric.split("/")[0], "")
            table.add_row(head, metric, f"{value:.4f} {unit}".rstrip())
        return table
