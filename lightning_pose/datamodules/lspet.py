"""Leeds Sports Pose Extended as batches."""

from pathlib import Path
from typing import Any

from lightning_pose.datamodules.download import Archive
from lightning_pose.datamodules.leeds import LeedsDataModule
from lightning_pose.datamodules.splits import Splits
from lightning_pose.datasets import LSPExtendedDataset

__all__ = ["LSPExtendedDataModule"]


class LSPExtendedDataModule(LeedsDataModule):
    """Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011).

    The default splits follow the protocol LSPE-v1: images 1 to 8500 train, 8501 to 9250 validate,
    9251 to 10000 test.

    Args:
        root: The folder with joints.mat, images/ and optionally masks/.
        train: Numbers of the first and last image of the training split.
        val: Numbers of the first and last image of the validation split.
        test: Numbers of the first and last image of the test split.
        splits: In place of these ranges: fractions of all people for train, val and test, or a
            folder with train.txt, val.txt and test.txt, which list images by name.
        split_seed: Seed of the order that fractions cut.
        download: Download what `root` lacks of images/ and joints.mat from the official address.
            The authors publish no checksum and no masks.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.
    """

    dataset = LSPExtendedDataset
    archives = (
        Archive(
            "https://sam.johnson.io/research/lspet_dataset.zip",
            provides=("images", "joints.mat"),
            largest=10**9,
            page="https://sam.johnson.io/research/lspet.html",
        ),
    )

    def __init__(
        self,
        root: str | Path,
        train: tuple[int, int] = (1, 8500),
        val: tuple[int, int] = (8501, 9250),
        test: tuple[int, int] = (9251, 10000),
        splits: Splits | None = None,
        split_seed: int = 0,
        download: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(root, train, val, test, splits, split_seed, download, **settings)
