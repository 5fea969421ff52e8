"""The summary at the end of a run: its best metrics, its folder, and the next command."""

import json
import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from lightning_pose.atomic import replacing
from lightning_pose.callbacks.best import BestCheckpoint
from lightning_pose.runs import RESULT

__all__ = ["RunSummary"]


class RunSummary(Callback):
    """Keeps the metrics of best.ckpt, and writes and prints them when `fit` ends.

    It is a listener of `BestCheckpoint`. The file result.json marks a run that has ended:

    * `metrics`: the metrics of best.ckpt by "HEAD/METRIC", and the unweighted loss of a head
      without metrics, "HEAD/loss"; null if a value is not finite, as that of a metric without any
      label;
    * `main`: its main metric, and `step` and `epoch`, the optimiser steps before that validation
      and the epoch it was in, from 0; null without a completed validation;
    * `steps` and `epochs` of the whole run, and the `seconds` from its first step to its end,
      including validations;
    * `parameters`: how many numbers the model learns, and `device`, what it ran on.

    Args:
        run: The run's folder.
        allow: Packages that the next command has to trust, because parts of the model are theirs.
    """

    def __init__(self, run: Path, allow: Sequence[str] = ()) -> None:
        self.run = run
        self.allow = allow
        self.results: dict[str, float] = {}
        self._best: dict[str, Any] = {"main": None, "step": None, "epoch": None}
        self._start: float | None = None
        self._seconds = 0.0
        self._units: dict[str, str] = {}
        self._caveat = ""

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"results": self.results, "best": self._best, "seconds": self._trained()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.results, self._best = state_dict["results"], state_dict["best"]
        self._seconds = state_dict["seconds"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note when training starts, and what a summary says about its data and metrics."""
        self._start = time.monotonic()
        scores = [
            float(one.best_model_score)
            for one in trainer.checkpoint_callbacks
            if isinstance(one, BestCheckpoint) and one.best_model_score is not None
        ]
        # A resumed best.ckpt has the state of the one before it, and in another folder there is no
        # best.ckpt of the run that is resumed.
        if self._best["main"] not in scores:
            self.results, self._best = {}, dict.fromkeys(self._best)
        self._caveat = getattr(getattr(trainer, "datamodule", None), "caveat", "")
        metrics = getattr(pl_module, "metrics", {})
        self._units = {name: metric.unit for name, metric in metrics.items()}

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
        scored = {key.split("/")[0] for key in self.results}
        for key, value in trainer.callback_metrics.items():
            head = key.removeprefix("val/loss/")
            if key.startswith("val/loss/") and "/" not in head and head not in scored:
                self.results[f"{head}/loss"] = float(value)
        main = float(trainer.callback_metrics["val/main"])
        self._best = {"main": main, "step": trainer.global_step, "epoch": trainer.current_epoch}

    def best(self) -> tuple[dict[str, float], int | None]:
        """The metrics of best.ckpt and its step; none without a completed validation."""
        main = {} if self._best["main"] is None else {"main": self._best["main"]}
        return {**main, **self.results}, self._best["step"]

    def save(self, trainer: pl.Trainer) -> None:
        """Write result.json for a run that has ended."""
        parameters = trainer.lightning_module.parameters()
        main = self._best["main"]
        result = {
            **self._best,
            # JSON has neither NaN nor infinity.
            "main": main if main is None or math.isfinite(main) else None,
            "metrics": {k: v if math.isfinite(v) else None for k, v in self.results.items()},
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "seconds": round(self._trained(), 3),
            "parameters": sum(p.numel() for p in parameters if p.requires_grad),
            "device": trainer.strategy.root_device.type,
        }
        with replacing(self.run / RESULT) as file:
            file.write(json.dumps(result, indent=1, allow_nan=False).encode())

    def _trained(self) -> float:
        """Seconds since the first step of the run, without those between its processes."""
        # A process that continues a run after its last step does not train.
        return self._seconds + (0.0 if self._start is None else time.monotonic() - self._start)

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
                main = self._best["main"]
                sign = " (negated, since lower is better)" if main < 0 else ""
                title = f"best.ckpt: epoch {self._best['epoch']}, val/main {main:.4f}{sign}"
                console.print(title, highlight=False)
                console.print(self._table())
            checkpoint = shlex.quote(str(self.run / "best.ckpt"))
            lines = [
                f"Run folder: {self.run}",
                f"Next: {self._program} predict --ckpt_path {checkpoint} --images IMAGES "
                f"--output predictions{''.join(f' --allow {name}' for name in self.allow)}",
            ]
            lines += [f"Note: {self._caveat}"] if self._caveat else []
        if interrupted and (self.run / "last.ckpt").is_file():
            config, name = (shlex.quote(str(n)) for n in (self.run / "config.yaml", self.run.name))
            lines += [
                f"Resume: {self._program} fit --config {config} --run {name} --ckpt_path auto"
            ]
        for line in lines:
            # Without wrapping and markup, so that the command can be copied in one piece.
            console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)

    @property
    def _program(self) -> str:
        # A package of the user's own may be in the folder of the command, where only -m finds it.
        return "python -m lightning_pose" if self.allow else "lightning"

    def _table(self) -> Table:
        table = Table("head", "metric", "value")
        for key, value in sorted(self.results.items()):
            head, metric = key.split("/", 1)
            unit = self._units.get(metric.split("/")[0], "")
            table.add_row(head, metric, f"{value:.4f} {unit}".rstrip())
        return table
