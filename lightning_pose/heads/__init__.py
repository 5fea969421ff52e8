"""Heads: each predicts one kind of label from the features of the backbone."""

from lightning_pose.heads.base import Head
from lightning_pose.heads.heatmap import HeatmapHead
from lightning_pose.heads.mask import MaskHead
from lightning_pose.heads.regression import RegressionHead
from lightning_pose.heads.softmax_joint import SoftmaxJointHead

__all__ = [
    "Head",
    "HeatmapHead",
    "MaskHead",
    "RegressionHead",
    "SoftmaxJointHead",
]
