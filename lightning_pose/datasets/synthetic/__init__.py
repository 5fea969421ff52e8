"""Drawn people: the data that the package brings with it."""

from lightning_pose.datasets.synthetic.dataset import SyntheticDataset

__all__ = ["SyntheticDataset"]
