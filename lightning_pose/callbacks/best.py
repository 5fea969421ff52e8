"""Which validation is the best so far, by the rule of the checkpoint that is kept of it."""

import pytorch_lightning as pl

__all__ = ["BestValidation"]


class BestValidation:
    """Decides as Lightning's ModelCheckpoint does, so that what callbacks keep is of best.ckpt.

    A figure must be better than all before, and in `fit` the weights must be others than those that
    were kept last: between two optimiser steps, ModelCheckpoint does not write again.
    """

    def __init__(self) -> None:
        self.figure = float("-inf")
        self.step = 0

    def is_new(self, trainer: pl.Trainer) -> bool:
        """Say whether the validation that just ended is the best so far, and remember it.

        Args:
            trainer: Has `val/main` among its callback metrics.

        Returns:
            True where everything kept of the best validation should be replaced.
        """
        fast_dev_run = getattr(trainer, "fast_dev_run", False)  # Set where no annotation shows it.
        if trainer.sanity_checking or fast_dev_run:
            return False
        if trainer.state.fn == "fit" and trainer.global_step == self.step:
            return False
        figure = float(trainer.callback_metrics.get("val/main", float("nan")))
        if not figure > self.figure:
            return False
        self.figure, self.step = figure, trainer.global_step
        return True
