"""Datasets: read native files as annotations and pixels, one module per dataset."""

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.coco import COCODataset
from lightning_pose.datasets.folder import FolderDataset
from lightning_pose.datasets.lsp import LSPDataset
from lightning_pose.datasets.lspet import LSPExtendedDataset
from lightning_pose.datasets.mix import MixedDataset
from lightning_pose.datasets.mpii import MPIIDataset
from lightning_pose.datasets.synthetic import SyntheticDataset
from lightning_pose.datasets.table import TableDataset

__all__ = [
    "COCODataset",
    "FolderDataset",
    "LSPDataset",
    "LSPExtendedDataset",
    "MPIIDataset",
    "MixedDataset",
    "PoseDataset",
    "SyntheticDataset",
    "TableDataset",
]
