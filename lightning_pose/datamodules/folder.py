"""A folder of labelled photographs as batches."""

from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_info
from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.splits import Splits, choose_split
from lightning_pose.datasets import FolderDataset
from lightning_pose.datasets.label_table import read_label_table
from lightning_pose.datasets.subset import Subset
from lightning_pose.errors import printable
from lightning_pose.skeletons import BODY25

__all__ = ["FolderDataModule"]


class FolderDataModule(PoseDataModule):
    """Your own photographs of one person each, with keypoints as OpenPose writes them.

    Args:
        root: The folder with images/, keypoints/, and optionally masks/ and labels.csv, see
            `FolderDataset`. Each column of labels.csv is an image-level label.
        min_joints: People with fewer labelled joints are left out; by default those without any.
        splits: Fractions of the people for train, val and test, or a folder with train.txt,
            val.txt and test.txt, which list images by name.
        split_seed: Seed of the order that fractions cut.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.

    Raises:
        DataError: labels.csv cannot be used.
    """

    def __init__(
        self,
        root: str | Path,
        min_joints: int = 1,
        splits: Splits = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(BODY25, **settings)
        self.root = Path(root).expanduser()
        self.min_joints = min_joints
        self.splits = splits
        self.split_seed = split_seed
        # The model is built for the labels before any split is opened.
        self.labels = read_label_table(self.root / "labels.csv").classes
        self._everyone: FolderDataset | None = None

    @override
    def everyone(self) -> FolderDataset:
        if self._everyone is None:
            self._everyone = FolderDataset(self.root, self.min_joints)
            skipped = self._everyone.skipped.items()
            if skipped:
                left_out = ", ".join(f"{count} {reason}" for reason, count in skipped)
                found = f"{len(self._everyone)} people in {self.root}; left out: {left_out}."
                rank_zero_info(printable(found))
        return self._everyone

    @override
    def make_dataset(self, split: Split) -> Subset:
        return choose_split(self.everyone(), self.splits, split, self.split_seed)
