"""A word at the start of a training that will take hours."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_info

__all__ = ["LongRunNotice"]

_HOURS = 2.0
"""The shortest training that is worth a notice."""


class LongRunNotice(Callback):
    """Estimates from the first steps how long training takes, and says so if it is hours."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._batches = 0
        self._done = False

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Measure half a minute of training; the first batch, which takes longer, starts it."""
        if self._done:
            return
        now = time.perf_counter()
        if self._start is None:
            self._start = now
            return
        self._batches += 1
        if now - self._start < 30:
            return
        self._done = True
        steps = trainer.estimated_stepping_batches - trainer.global_step
        per_step = (now - self._start) / self._batches * trainer.accumulate_grad_batches
        left = per_step * steps / 3600
        if math.isfinite(left) and left >= _HOURS:
            rank_zero_info(
                f"At {per_step:.1f} s per step, the {steps} steps of this training take about "
                f"{left:.0f} hours, and the validations come on top. A smaller input, network or "
                "dataset, or a GPU, makes it shorter."
            )
