"""Datasets: read native files as annotations and pixels, one module per dataset."""

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.lspet import LSPExtendedDataset
from lightning_pose.datasets.mpii import MPIIDataset
from lightning_pose.datasets.synthetic import SyntheticDataset

__all__ = ["LSPExtendedDataset", "MPIIDataset", "PoseDataset", "SyntheticDataset"]
