"""Data modules: one per dataset, with batches for training, validation and test."""

from lightning_pose.datamodules.base import PoseDataModule
from lightning_pose.datamodules.lspet import LSPExtendedDataModule

__all__ = ["LSPExtendedDataModule", "PoseDataModule"]
