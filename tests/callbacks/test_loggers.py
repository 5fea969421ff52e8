"""Each logger gets images and the config in its own way."""

from unittest.mock import MagicMock

import numpy as np
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from lightning_pose.callbacks import log_config, log_image


def test_the_w_and_b_logger_gets_the_image_and_the_config() -> None:
    logger = MagicMock(spec=WandbLogger)
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    log_image([logger], "val/predictions", image, step=7)
    logger.log_image.assert_called_once_with(key="val/predictions", images=[image], step=7)
    log_config([logger], {"seed_everything": 0})
    logger.log_hyperparams.assert_called_once_with({"seed_everything": 0})


def test_tensorboard_gets_the_image_and_a_logger_without_images_does_not() -> None:
    tensorboard, csv = MagicMock(spec=TensorBoardLogger), MagicMock(spec=CSVLogger)
    tensorboard.experiment = MagicMock()
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    log_image([csv, tensorboard], "val/predictions", image, step=7)
    tensorboard.experiment.add_image.assert_called_once_with(
        "val/predictions", image, global_step=7, dataformats="HWC"
    )
    assert not csv.method_calls
