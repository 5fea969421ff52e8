"""MPII Human Pose as batches."""

from pathlib import Path
from typing import Any

from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.splits import Splits, choose_split
from lightning_pose.datasets import MPIIDataset, PoseDataset
from lightning_pose.datasets.mpii_release import ACTIVITIES
from lightning_pose.skeletons import MPII16

__all__ = ["MPIIDataModule"]


class MPIIDataModule(PoseDataModule):
    """MPII Human Pose (Andriluka et al., CVPR 2014).

    By default the community's lists are the splits, on which papers report: train.json and
    valid.json, and no test split, because its joints are not public. With `splits`, people are
    those of the published file, mpii_human_pose_v1_u12_1.mat, which alone has occlusion and
    activities.

    Args:
        root: The folder with images/ and the annotations, see `MPIIDataset`.
        splits: Fractions of the people of the published file for train, val and test, or a folder
            with train.txt, val.txt and test.txt, which name images; None for the community's lists.
        split_seed: Seed of the order that fractions cut.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Splits | None = None,
        split_seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(MPII16, **settings)
        self.root = Path(root)
        self.splits = splits
        self.split_seed = split_seed
        self.labels = {"activity": list(ACTIVITIES)}
        self._everyone: MPIIDataset | None = None

    @override
    def everyone(self) -> PoseDataset:
        if self.splits is None:
            return super().everyone()
        if self._everyone is None:  # Once: it takes half a minute to read.
            self._everyone = MPIIDataset(self.root)
        return self._everyone

    @override
    def make_dataset(self, split: Split) -> PoseDataset:
        if self.splits is None:
            return MPIIDataset(self.root, split)
        return choose_split(self.everyone(), self.splits, split, self.split_seed)
