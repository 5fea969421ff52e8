"""Datasets: read native files as annotations and pixels, one module per dataset."""

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.coco import COCODataset
from lightning_pose.datasets.lspet import LSPExtendedDataset
from lightning_pose.datasets.synthetic import SyntheticDataset

__all__ = ["COCODataset", "LSPExtendedDataset", "PoseDataset", "SyntheticDataset"]
