"""What `lightning doctor` finds out about data before training: statistics with stated limits."""

from lightning_pose.diagnosis.examination import Examination, examine
from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People

__all__ = ["Examination", "Finding", "People", "examine"]
