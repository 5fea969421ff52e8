"""Callbacks and loggers: checkpoints, predictions, contact sheets and the summary."""

from lightning_pose.callbacks.best import BestCheckpoint, KeepsBest
from lightning_pose.callbacks.contact_sheet import ContactSheet
from lightning_pose.callbacks.last import LastCheckpoint
from lightning_pose.callbacks.learning_rate import LearningRate
from lightning_pose.callbacks.loggers import log_config, log_image
from lightning_pose.callbacks.long_run import LongRunNotice
from lightning_pose.callbacks.predictions import SavePredictions
from lightning_pose.callbacks.summary import RunSummary

__all__ = [
    "BestCheckpoint",
    "ContactSheet",
    "KeepsBest",
    "LastCheckpoint",
    "LearningRate",
    "LongRunNotice",
    "RunSummary",
    "SavePredictions",
    "log_config",
    "log_image",
]
