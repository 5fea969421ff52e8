"""Metrics: functions that compute, and thin torchmetrics classes that keep sums and counts."""

from lightning_pose.metrics.accuracy import Accuracy, class_accuracy
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.dice import Dice, dice_per_person, mask_dice
from lightning_pose.metrics.joints import joint_errors
from lightning_pose.metrics.judged import Judged, judge
from lightning_pose.metrics.losses import LossMean
from lightning_pose.metrics.mae import MAE, value_mae
from lightning_pose.metrics.pck import PCK, PCKh, keypoint_pck, keypoint_pckh
from lightning_pose.metrics.rmse import RMSE, keypoint_rmse
from lightning_pose.metrics.scores import Judgement, Scores, default_metrics

__all__ = [
    "MAE",
    "PCK",
    "RMSE",
    "Accuracy",
    "Dice",
    "Judged",
    "Judgement",
    "LossMean",
    "PCKh",
    "PoseMetric",
    "Scores",
    "class_accuracy",
    "default_metrics",
    "dice_per_person",
    "joint_errors",
    "judge",
    "keypoint_pck",
    "keypoint_pckh",
    "keypoint_rmse",
    "mask_dice",
    "value_mae",
]
