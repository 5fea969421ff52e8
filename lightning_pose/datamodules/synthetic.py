"""Drawn people as batches: the default data, for which there is nothing to download."""

from typing import Any

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datasets.synthetic import SyntheticDataset
from lightning_pose.skeletons import LSP14

__all__ = ["SyntheticDataModule"]


class SyntheticDataModule(PoseDataModule):
    """Drawn people with exact joints and masks, made on the fly.

    Args:
        train_size: Number of people to train on; no two splits share one.
        val_size: Number of people to validate on.
        test_size: Number of people to test on.
        picture_size: Height and width of the drawn pictures in pixels, about 1.25 times the
            input's, so that the crop neither shrinks nor enlarges much.
        **settings: Batch size, crop and augmentation, see `PoseDataModule`.
    """

    def __init__(
        self,
        train_size: int = 8000,
        val_size: int = 500,
        test_size: int = 500,
        picture_size: int = 160,
        **settings: Any,
    ) -> None:
        super().__init__(LSP14, **settings)
        self.train_size = train_size
        self.val_size = val_size
        self.test_size = test_size
        self.picture_size = picture_size

    def make_dataset(self, split: Split) -> SyntheticDataset:
        """Open one split.

        Args:
            split: "train", "val" or "test".

        Returns:
            Its people.

        Raises:
            InputError: A size is out of range.
        """
        sizes = {"train": self.train_size, "val": self.val_size, "test": self.test_size}
        return SyntheticDataset(split, sizes[split], self.picture_size)
