"""Losses: functions of an output, its target, and a weight that is 0 where nothing is known."""

from lightning_pose.losses.coordinates import mean_absolute_error, mean_squared_error
from lightning_pose.losses.dice import soft_dice
from lightning_pose.losses.heatmaps import heatmap_squared_error, spatial_cross_entropy
from lightning_pose.losses.joint_labels import joint_cross_entropy
from lightning_pose.losses.terms import LossTerms, weighted_sum

__all__ = [
    "LossTerms",
    "heatmap_squared_error",
    "joint_cross_entropy",
    "mean_absolute_error",
    "mean_squared_error",
    "soft_dice",
    "spatial_cross_entropy",
    "weighted_sum",
]
