"""Batches of synthetic people, with nothing to download."""

from typing import Any

from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datasets import SyntheticDataset
from lightning_pose.skeletons import LSP14

__all__ = ["SyntheticDataModule"]


class SyntheticDataModule(PoseDataModule):
    """Synthetic people with exact joints and masks, drawn on the fly.

    Args:
        train_size: Number of people to train on; no two splits share a person.
        val_size: Number of people to validate on.
        test_size: Number of people to test on.
        image_size: Height and width of the drawn images in pixels, about 1.25 times the input's, so
            that the crop hardly shrinks or enlarges them.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.
    """

    caveat = (
        "the model has seen only synthetic people, and does not work on photographs; train on some "
        "with `--config data/lspet.yaml` or your own data module."
    )

    def __init__(
        self,
        train_size: int = 8000,
        val_size: int = 500,
        test_size: int = 500,
        image_size: int = 160,
        **settings: Any,
    ) -> None:
        super().__init__(LSP14, **settings)
        self.train_size = train_size
        self.val_size = val_size
        self.test_size = test_size
        self.image_size = image_size

    @override
    def make_dataset(self, split: Split) -> SyntheticDataset:
        sizes = {"train": self.train_size, "val": self.val_size, "test": self.test_size}
        return SyntheticDataset(split, sizes[split], self.image_size)
