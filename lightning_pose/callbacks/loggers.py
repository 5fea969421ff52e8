"""What differs between loggers; no other file knows a vendor."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from lightning_pose.errors import InputError

__all__ = ["log_config", "log_picture"]


def log_picture(
    loggers: Iterable[Logger], name: str, picture: UInt8[np.ndarray, "H W 3"], step: int
) -> None:
    """Send an RGB picture to every logger that shows pictures.

    Args:
        loggers: The trainer's loggers.
        name: The name under which the logger shows it.
        picture: RGB.
        step: The optimiser step that it belongs to.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, global_step=step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(key=name, images=[picture], step=step)


def log_config(loggers: Iterable[Logger], config: dict[str, Any]) -> None:
    """Send the resolved config to every logger, so that a dashboard can group runs by any key.

    Args:
        loggers: The trainer's loggers.
        config: Plain data.

    Raises:
        InputError: W&B cannot begin a run.
    """
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            logger.log_hyperparams(config)
            continue
        # Imported when it is used: it takes a second, and few runs have it.
        import wandb

        try:
            logger.log_hyperparams(config)
        except wandb.Error as error:
            words = " ".join(str(error).split()).rstrip(".")
            raise InputError(
                f"Expected W&B to begin a run, found: {words}; log in with `wandb login`, or add "
                "--trainer.logger.init_args.offline true."
            ) from error
