"""Data modules: one per dataset, with batches for training, validation and test."""

from lightning_pose.datamodules.base import PoseDataModule
from lightning_pose.datamodules.coco import COCODataModule
from lightning_pose.datamodules.lspet import LSPExtendedDataModule
from lightning_pose.datamodules.synthetic import SyntheticDataModule

__all__ = ["COCODataModule", "LSPExtendedDataModule", "PoseDataModule", "SyntheticDataModule"]
