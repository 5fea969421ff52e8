"""How the losses of several heads are combined."""

from lightning_pose.weightings.base import TrainingStep, Weighting
from lightning_pose.weightings.fixed import FixedWeighting

__all__ = ["FixedWeighting", "TrainingStep", "Weighting"]
