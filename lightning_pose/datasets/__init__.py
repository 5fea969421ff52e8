"""Datasets: native files on disk become samples, one file per dataset."""

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.lspet import LSPExtendedDataset

__all__ = ["LSPExtendedDataset", "PoseDataset"]
