"""How the losses of several heads become one."""

from lightning_pose.weightings.base import Weighting
from lightning_pose.weightings.fixed import FixedWeighting

__all__ = ["FixedWeighting", "Weighting"]
