"""How the losses of several heads are combined."""

from lightning_pose.weightings.base import TrainingStep, Weighting
from lightning_pose.weightings.dynamic_weight_average import DynamicWeightAverageWeighting
from lightning_pose.weightings.famo import FAMOWeighting
from lightning_pose.weightings.fixed import FixedWeighting
from lightning_pose.weightings.geometric_mean import GeometricMeanWeighting
from lightning_pose.weightings.grad_norm import GradNormWeighting
from lightning_pose.weightings.random import RandomWeighting
from lightning_pose.weightings.torchjd import TorchJDWeighting
from lightning_pose.weightings.uncertainty import UncertaintyWeighting

__all__ = [
    "DynamicWeightAverageWeighting",
    "FAMOWeighting",
    "FixedWeighting",
    "GeometricMeanWeighting",
    "GradNormWeighting",
    "RandomWeighting",
    "TorchJDWeighting",
    "TrainingStep",
    "UncertaintyWeighting",
    "Weighting",
]
