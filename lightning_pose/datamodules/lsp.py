"""Leeds Sports Pose as batches."""

from pathlib import Path
from typing import Any

from lightning_pose.datamodules.download import Archive
from lightning_pose.datamodules.leeds import LeedsDataModule
from lightning_pose.datamodules.splits import Splits
from lightning_pose.datasets import LSPDataset

__all__ = ["LSPDataModule"]


class LSPDataModule(LeedsDataModule):
    """Leeds Sports Pose (Johnson and Everingham, BMVC 2010).

    The official split is 1 to 1000 for training and 1001 to 2000 for test. By default, the last
    tenth of the training images, which are in no particular order, validates instead. Published
    results are those of all 1000.

    Args:
        root: The folder with joints.mat, images/ and optionally masks/, of either release.
        train: Numbers of the first and last image of the training split.
        val: Numbers of the first and last image of the validation split.
        test: Numbers of the first and last image of the test split.
        splits: In place of these ranges: fractions of all people for train, val and test, or a
            folder with train.txt, val.txt and test.txt, which list images by name.
        split_seed: Seed of the order that fractions cut.
        download: Download what `root` lacks of images/ and joints.mat from the official address, in
            the original size. The authors publish no checksum and no masks.
        **settings: Input, batch size and augmentation, see `PoseDataModule`.
    """

    dataset = LSPDataset
    archives = (
        Archive(
            "https://sam.johnson.io/research/lsp_dataset_original.zip",
            provides=("images", "joints.mat"),
            largest=10**9,
            page="https://sam.johnson.io/research/lsp.html",
        ),
    )

    def __init__(
        self,
        root: str | Path,
        train: tuple[int, int] = (1, 900),
        val: tuple[int, int] = (901, 1000),
        test: tuple[int, int] = (1001, 2000),
        splits: Splits | None = None,
        split_seed: int = 0,
        download: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(root, train, val, test, splits, split_seed, download, **settings)
