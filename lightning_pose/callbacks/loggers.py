"""What loggers get from a run besides numbers, each in its own form, and their settings."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from lightning_pose.callbacks.wandb import WandbRun

__all__ = ["log_config", "log_image", "log_results", "logger_callbacks", "logger_settings"]


def logger_settings(
    class_path: str, folder: Path, resumed: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The settings of a logger that follow from the run.

    Args:
        class_path: The class of the logger.
        folder: The run's folder.
        resumed: The callbacks' states in the checkpoint that training resumes from.

    Returns:
        The settings, for those that the config leaves open.

    Example:
        >>> logger_settings("WandbLogger", Path("checkpoints/combined/first"))
        {'name': 'combined/first'}
    """
    if class_path.split(".")[-1] != WandbLogger.__name__:
        return {}
    before = WandbRun.id_in(resumed or {})
    if before is not None:
        # Without "allow", W&B would replace the run; its name stays.
        return {"id": before, "resume": "allow"}
    return {"name": f"{folder.parent.name}/{folder.name}"}


def logger_callbacks(loggers: Iterable[Logger], predictions: Path) -> list[WandbRun]:
    """The callbacks that send to loggers what only these can show.

    Args:
        loggers: The trainer's loggers.
        predictions: The predictions.npz of the best validation.

    Returns:
        Callbacks that are also listeners of `BestCheckpoint`, after `SavePredictions`.
    """
    return [WandbRun(one, predictions) for one in loggers if isinstance(one, WandbLogger)]


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


def log_results(
    loggers: Iterable[Logger],
    config: dict[str, Any],
    results: Mapping[str, float],
    step: int | None,
) -> None:
    """Send the results of a run that has ended to the loggers that compare runs by them.

    TensorBoard's table of hyperparameters shows only runs that were logged with results.

    Args:
        loggers: The trainer's loggers.
        config: The resolved config, as for `log_config`.
        results: The metrics of best.ckpt by name, logged as "best/NAME"; NaN is left out.
        step: The optimiser step of best.ckpt; None without results.
    """
    shown = {f"best/{name}": value for name, value in results.items() if not math.isnan(value)}
    for logger in loggers:
        if shown and isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(config, shown, step)
            # Lightning has closed its file already, which this has opened again.
            logger.finalize("success")
