"""The position of a training run in batches; only this file reads Lightning's counters for it."""

from typing import Any

import pytorch_lightning as pl

from lightning_pose.datamodules.samplers import PersonBatchSampler
from lightning_pose.errors import ConfigError

__all__ = ["Progress"]


class Progress:
    """Counts the batches that a run has trained on, across epochs and restarts.

    The sampler is ahead of training, because workers load batches in advance: within an epoch, the
    trainer's counters say how many of the batches were used.
    """

    def __init__(self) -> None:
        self._position = 0
        self._length: int | None = None
        self._sampler: PersonBatchSampler | None = None

    def begin(self, trainer: pl.Trainer | None) -> None:
        """Start from 0 if the trainer is new; a checkpoint is loaded after this."""
        if trainer is None or trainer.fit_loop.epoch_progress.current.ready == 0:
            self._position, self._length, self._sampler = 0, None, None

    def follow(self, sampler: PersonBatchSampler, trainer: pl.Trainer | None) -> None:
        """Set a new sampler to the position in training, and count by it from now on.

        Raises:
            ConfigError: The run's checkpoint counts epochs with a different number of batches.
        """
        if self._length not in (None, len(sampler)):
            raise ConfigError(
                f"Expected {self._length} batches per epoch, as in the run that the checkpoint "
                f"resumes, found {len(sampler)}; keep its batch_size and its people, or begin a "
                "new run."
            )
        self._position = sampler.position = self.consumed(trainer)
        self._sampler = sampler

    def consumed(self, trainer: pl.Trainer | None) -> int:
        """Batches trained on since the start of training."""
        sampler = self._sampler
        if sampler is None or trainer is None or sampler.position == self._position:
            return self._position
        epoch = trainer.fit_loop.epoch_progress.current.state_dict()
        done = int(trainer.fit_loop.epoch_loop.batch_progress.current.state_dict()["processed"])
        if epoch["started"] == epoch["processed"] or done >= trainer.num_training_batches:
            return sampler.position
        return sampler.position - len(sampler) + done

    def state_dict(self, trainer: pl.Trainer | None) -> dict[str, Any]:
        """The position in batches, and the number of batches per epoch."""
        length = self._length if self._sampler is None else len(self._sampler)
        return {"position": self.consumed(trainer), "length": length}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume from the position at which a checkpoint was written."""
        self._position = int(state_dict["position"])
        self._length = state_dict.get("length")
        self._sampler = None
