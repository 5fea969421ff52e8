"""Heads: each predicts one kind of label from the features of the backbone."""

from lightning_pose.heads.attention_lstm import AttentionLSTMHead
from lightning_pose.heads.base import Head
from lightning_pose.heads.class_label import ClassHead
from lightning_pose.heads.fully_connected import FullyConnectedHead
from lightning_pose.heads.heatmap import HeatmapHead
from lightning_pose.heads.integral import IntegralHead
from lightning_pose.heads.lstm import LSTMHead
from lightning_pose.heads.mask import MaskHead
from lightning_pose.heads.refinement import RefinementHead
from lightning_pose.heads.regression import RegressionHead
from lightning_pose.heads.shared_heatmap import SharedHeatmapHead
from lightning_pose.heads.simcc import SimCCHead
from lightning_pose.heads.softmax_joint import SoftmaxJointHead
from lightning_pose.heads.value import ValueHead

__all__ = [
    "AttentionLSTMHead",
    "ClassHead",
    "FullyConnectedHead",
    "Head",
    "HeatmapHead",
    "IntegralHead",
    "LSTMHead",
    "MaskHead",
    "RefinementHead",
    "RegressionHead",
    "SharedHeatmapHead",
    "SimCCHead",
    "SoftmaxJointHead",
    "ValueHead",
]
