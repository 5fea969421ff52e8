"""Settings of the trainer that the commands refuse, because a training would be wrong or fail."""

import os
import re
from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder

from lightning_pose.errors import ConfigError

__all__ = ["check_settings", "check_trainer"]


def check_settings(strategy: Any, callbacks: Sequence[Any]) -> None:
    """Refuse strategies and callbacks that do not fit our checkpoints.

    Args:
        strategy: The trainer's strategy, an object or its name.
        callbacks: The callbacks of the config.

    Raises:
        ConfigError: A process would have only a part of the weights, which it needs whole for the
            checkpoints, for an average of the weights, and for the gradients of each head. Or a
            callback would find a setting that config.yaml does not have: the run could be neither
            repeated nor resumed.
    """
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    if re.search("fsdp|deepspeed|modelparallel", name.lower()):
        raise ConfigError(
            f"Expected a strategy in which each process has all weights, found {name}; use ddp, "
            "and if memory is short, a smaller data.batch_size with more "
            "trainer.accumulate_grad_batches."
        )
    for callback in callbacks:
        if isinstance(callback, BatchSizeFinder | LearningRateFinder):
            raise ConfigError(
                f"Expected data.batch_size and model.optimizer.lr as settings, found the callback "
                f"{type(callback).__name__}, whose result would not be in config.yaml; try values "
                "in short runs with --trainer.max_steps 20 instead."
            )


def check_trainer(trainer: Trainer, sync_batchnorm: bool) -> None:
    """Refuse what the device of a trainer cannot do.

    Args:
        trainer: The trainer, before it runs.
        sync_batchnorm: Whether its processes share the statistics of batch norm.

    Raises:
        ConfigError: On the CPU, there are so many processes that they would only use up all memory,
            because each imports torch and reads data; or they would share statistics.
    """
    if trainer.strategy.root_device.type != "cpu":
        return
    most = max(4, os.cpu_count() or 1)
    if trainer.num_devices > most:
        raise ConfigError(
            f"Expected at most {most} processes (trainer.devices) on the CPUs of this machine, "
            f"found {trainer.num_devices}; use 1, whose threads use all cores."
        )
    if sync_batchnorm:
        raise ConfigError(
            "Expected trainer.sync_batchnorm only on GPUs, found it on the CPU, for which PyTorch "
            "has no such layer; set it to false."
        )
