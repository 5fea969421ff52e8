"""Callbacks and loggers: what a run saves and shows, and how its weights are trained."""

from lightning_pose.callbacks.attention import AttentionSheet
from lightning_pose.callbacks.best import BestCheckpoint, KeepsBest
from lightning_pose.callbacks.compile import Compile
from lightning_pose.callbacks.contact_sheet import ContactSheet
from lightning_pose.callbacks.ema import EMA
from lightning_pose.callbacks.freeze_backbone import FreezeBackbone
from lightning_pose.callbacks.gradients import GradientTelemetry
from lightning_pose.callbacks.l1 import L1Penalty
from lightning_pose.callbacks.last import LastCheckpoint
from lightning_pose.callbacks.learning_rate import LearningRate
from lightning_pose.callbacks.loggers import (
    log_config,
    log_image,
    log_results,
    logger_callbacks,
    logger_settings,
)
from lightning_pose.callbacks.long_run import LongRunNotice
from lightning_pose.callbacks.metrics_file import MetricsFile
from lightning_pose.callbacks.predictions import SavePredictions
from lightning_pose.callbacks.random_state import StepRandomState
from lightning_pose.callbacks.saliency import Saliency
from lightning_pose.callbacks.skipped import SkippedPeople
from lightning_pose.callbacks.summary import RunSummary
from lightning_pose.callbacks.wandb import WandbRun

__all__ = [
    "EMA",
    "AttentionSheet",
    "BestCheckpoint",
    "Compile",
    "ContactSheet",
    "FreezeBackbone",
    "GradientTelemetry",
    "KeepsBest",
    "L1Penalty",
    "LastCheckpoint",
    "LearningRate",
    "LongRunNotice",
    "MetricsFile",
    "RunSummary",
    "Saliency",
    "SavePredictions",
    "SkippedPeople",
    "StepRandomState",
    "WandbRun",
    "log_config",
    "log_image",
    "log_results",
    "logger_callbacks",
    "logger_settings",
]
