"""What the data modules of Leeds Sports Pose and its extension share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.download import Archive, fetch
from lightning_pose.datamodules.splits import Splits, choose_split
from lightning_pose.datasets import LSPDataset, LSPExtendedDataset, PoseDataset
from lightning_pose.skeletons import LSP14

__all__ = ["LeedsDataModule"]


class LeedsDataModule(PoseDataModule):
    """Numbered people in one folder, split by ranges of numbers, fractions or lists.

    Args:
        root: The folder.
        train: Numbers of the first and last image of the training split.
        val: Numbers of the first and last image of the validation split.
        test: Numbers of the first and last image of the test split.
        splits: In place of these ranges: fractions of all people, or a folder of lists.
        split_seed: Seed of the order that fractions cut.
        download: Download what the folder lacks.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.

    Attributes:
        dataset: The class that reads the folder.
        archives: What is downloaded.
    """

    dataset: ClassVar[type[LSPDataset] | type[LSPExtendedDataset]]
    archives: ClassVar[Sequence[Archive]]

    def __init__(
        self,
        root: str | Path,
        train: tuple[int, int],
        val: tuple[int, int],
        test: tuple[int, int],
        splits: Splits | None,
        split_seed: int,
        download: bool,
        **settings: Any,
    ) -> None:
        super().__init__(LSP14, **settings)
        self.root = Path(root)
        self.train = train
        self.val = val
        self.test = test
        self.splits = splits
        self.split_seed = split_seed
        self.download = download

    @override
    def prepare_data(self) -> None:
        if self.download:
            fetch(self.root.expanduser(), self.archives)

    @override
    def everyone(self) -> PoseDataset:
        return self.dataset(self.root)

    @override
    def make_dataset(self, split: Split) -> PoseDataset:
        if self.splits is not None:
            return choose_split(self.everyone(), self.splits, split, self.split_seed)
        first, last = {"train": self.train, "val": self.val, "test": self.test}[split]
        return self.dataset(self.root, first, last)
