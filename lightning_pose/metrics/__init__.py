"""Metrics: a function computes, and a thin torchmetrics class keeps sums and counts."""

from lightning_pose.metrics.dice import Dice, dice_per_person, mask_dice
from lightning_pose.metrics.joints import joint_errors
from lightning_pose.metrics.pck import PCK, PCKh, keypoint_pck, keypoint_pckh
from lightning_pose.metrics.rmse import RMSE, keypoint_rmse

__all__ = [
    "PCK",
    "RMSE",
    "Dice",
    "PCKh",
    "dice_per_person",
    "joint_errors",
    "keypoint_pck",
    "keypoint_pckh",
    "keypoint_rmse",
    "mask_dice",
]
