"""In which training steps the loggers write."""

import pytorch_lightning as pl

__all__ = ["is_logged"]


def is_logged(trainer: pl.Trainer) -> bool:
    """Whether the loggers write what is logged in the current training step.

    Lightning takes half a millisecond for each number that is logged, also in the steps of which
    nothing is written.

    Args:
        trainer: The trainer, in a batch of a training.

    Returns:
        True in every `log_every_n_steps`-th optimiser step.
    """
    every: int = getattr(trainer, "log_every_n_steps", 0)  # An attribute without annotation.
    return every > 0 and (trainer.global_step + 1) % every == 0
