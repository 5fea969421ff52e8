"""Everything that depends on the logger; no other file handles specific loggers."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

__all__ = ["log_config", "log_image"]


def log_image(
    loggers: Iterable[Logger], name: str, image: UInt8[np.ndarray, "H W 3"], step: int
) -> None:
    """Send an image to every logger that supports images.

    Args:
        loggers: The trainer's loggers.
        name: The name of the image in the logger.
        image: RGB.
        step: The optimiser step of the image.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, image, global_step=step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(key=name, images=[image], step=step)


def log_config(loggers: Iterable[Logger], config: dict[str, Any]) -> None:
    """Send the resolved config to every logger, so that a dashboard can group runs by any key.

    Args:
        loggers: The trainer's loggers.
        config: Plain data.
    """
    for logger in loggers:
        logger.log_hyperparams(config)
