"""A table of one's own people as batches."""

from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.splits import Splits, choose_split
from lightning_pose.datasets import TableDataset
from lightning_pose.datasets.skeleton_files import read_skeleton
from lightning_pose.datasets.subset import Subset
from lightning_pose.errors import MissingSplitError

__all__ = ["TableDataModule"]


class TableDataModule(PoseDataModule):
    """People of one's own, listed in a CSV or in JSON lines; see `TableDataset` for the columns.

    The table is read once, when this is made: joints and labels are known only then. All splits are
    in one table, so that they have the same joints, classes and numbering.

    Args:
        table: The file, .csv or .jsonl; images are relative to its folder.
        skeleton: A YAML file with names, limbs, head and torso, or the name of a known skeleton
            such as COCO17 (see `read_skeleton`); by default the joints that the table names,
            without limbs, PCK and PCKh.
        splits: Fractions of the people for train, val and test, or a folder with lists of images;
            by default what the table's column `split` says, or 0.8, 0.1 and 0.1 without one.
        split_seed: Seed for the fractions.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.
    """

    def __init__(
        self,
        table: str | Path,
        skeleton: str | Path | None = None,
        splits: Splits | None = None,
        split_seed: int = 0,
        **settings: Any,
    ) -> None:
        people = TableDataset(table, None if skeleton is None else read_skeleton(skeleton))
        super().__init__(people.skeleton, **settings)
        self._everyone = people
        self.labels = people.labels
        self.splits = splits
        self.split_seed = split_seed

    @override
    def everyone(self) -> TableDataset:
        return self._everyone

    @override
    def make_dataset(self, split: Split) -> Subset:
        people = self._everyone
        if self.splits is not None or people.splits is None:
            return choose_split(people, self.splits or (0.8, 0.1, 0.1), split, self.split_seed)
        chosen = np.flatnonzero(people.splits == split.encode())
        if not len(chosen):
            raise MissingSplitError(
                f"Expected people of the split {split} in {people.table}, found none; write "
                f"{split} into the column split of some of them."
            )
        return Subset(people, chosen)
