"""A picture of each validation, in a folder and in the loggers."""

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from jaxtyping import UInt8
from PIL import Image

from lightning_pose.callbacks.loggers import log_image

__all__ = ["save_picture"]


def save_picture(
    trainer: pl.Trainer,
    folder: Path,
    name: str,
    picture: UInt8[np.ndarray, "H W 3"],
    suffix: str = "",
) -> None:
    """Write a picture after a validation, and send it to the loggers.

    Args:
        trainer: Knows the epoch, the step and the loggers.
        folder: The folder for the PNG, which is named by epoch and optimiser step.
        name: The name of the picture in the loggers.
        picture: RGB.
        suffix: What follows the epoch and the step in the name of the PNG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The number of the last step, as in metrics.csv.
    step = max(0, trainer.global_step - 1)
    path = folder / f"epoch_{trainer.current_epoch:03d}_step_{step:06d}{suffix}.png"
    # Takes 0.4 times as long as the default level, for a file that is 9 % larger.
    Image.fromarray(picture).save(path, compress_level=3)
    log_image(trainer.loggers, name, picture, step)
