"""Each logger gets images and the config in its own way."""

import math
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lightning_pose.callbacks import (
    log_config,
    log_image,
    log_results,
    logger_callbacks,
    logger_settings,
)


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


def test_only_w_and_b_has_settings_and_a_callback_of_its_own() -> None:
    folder, saved = Path("checkpoints/study/equal/seed_0"), {"WandbRun": {"id": "abc"}}
    for name in ("WandbLogger", "pytorch_lightning.loggers.WandbLogger"):
        assert logger_settings(name, folder) == {"name": "equal/seed_0"}
        assert logger_settings(name, folder, saved) == {"id": "abc", "resume": "allow"}
        assert logger_settings(name, folder, {"LastCheckpoint": {}}) == {"name": "equal/seed_0"}
    assert logger_settings("TensorBoardLogger", folder, saved) == {}
    loggers = [MagicMock(spec=kind) for kind in (CSVLogger, WandbLogger, TensorBoardLogger)]
    (callback,) = logger_callbacks(loggers, Path("predictions.npz"))
    assert callback.logger is loggers[1]


def test_tensorboard_compares_runs_by_their_results(tmp_path: Path) -> None:
    logger = TensorBoardLogger(str(tmp_path), name="", version="", default_hp_metric=False)
    logger.log_metrics({"train/loss": 1.0}, step=0)
    logger.finalize("success")
    config = {"model": {"weighting": "DWA", "main_head": None}, "seed_everything": 3}
    log_results([logger], config, {"main": 0.5, "mask/Dice": 0.75, "joints/PCK": math.nan}, 7)
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in shown.Scalars("best/mask/Dice")] == [(7, 0.75)]
    assert "best/joints/PCK" not in shown.Tags()["scalars"]
    parts = shown.PluginTagToContent("hparams").values()
    found = [HParamsPluginData.FromString(content) for content in parts]
    (start,) = (one.session_start_info for one in found if one.HasField("session_start_info"))
    assert start.hparams["model/weighting"].string_value == "DWA"
    assert start.hparams["seed_everything"].number_value == 3
    (table,) = (one.experiment for one in found if one.HasField("experiment"))
    assert {info.name.tag for info in table.metric_infos} == {"best/main", "best/mask/Dice"}


def test_a_run_without_a_validation_has_no_results() -> None:
    logger = MagicMock(spec=TensorBoardLogger)
    log_results([logger], {}, {}, None)
    assert not logger.method_calls
