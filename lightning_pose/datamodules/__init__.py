"""Data modules: one per dataset, with batches for training, validation and test."""

from lightning_pose.datamodules.base import PoseDataModule
from lightning_pose.datamodules.coco import COCODataModule
from lightning_pose.datamodules.fashion import FashionDataModule
from lightning_pose.datamodules.folder import FolderDataModule
from lightning_pose.datamodules.lsp import LSPDataModule
from lightning_pose.datamodules.lspet import LSPExtendedDataModule
from lightning_pose.datamodules.mix import MixedDataModule
from lightning_pose.datamodules.mpii import MPIIDataModule
from lightning_pose.datamodules.synthetic import SyntheticDataModule
from lightning_pose.datamodules.table import TableDataModule

__all__ = [
    "COCODataModule",
    "FashionDataModule",
    "FolderDataModule",
    "LSPDataModule",
    "LSPExtendedDataModule",
    "MPIIDataModule",
    "MixedDataModule",
    "PoseDataModule",
    "SyntheticDataModule",
    "TableDataModule",
]
