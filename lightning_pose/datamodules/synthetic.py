"""Drawn people as batches: the default data, for which there is nothing to download."""

import albumentations as A

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
        batch_size: People in a batch, over all processes.
        num_workers: Processes that draw pictures; 0 draws in the training process.
        input_size: Height and width of the network's input in pixels.
        enlarge: How much larger than a person's box its crop is.
        rotation: Largest turn of a training crop in degrees.
        scale: Largest change of size of a training crop, see `PersonCrop`.
        flip: Probability that a training crop is mirrored.
        photometric: Albumentations transforms of training pictures.
        seed: Seed of order and augmentation; the people themselves do not depend on it.
    """

    def __init__(
        self,
        train_size: int = 8000,
        val_size: int = 500,
        test_size: int = 500,
        picture_size: int = 160,
        batch_size: int = 32,
        num_workers: int = 2,
        input_size: tuple[int, int] = (128, 128),
        enlarge: float = 1.25,
        rotation: float = 30.0,
        scale: float = 0.25,
        flip: float = 0.5,
        photometric: list[A.BasicTransform] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            LSP14,
            batch_size=batch_size,
            num_workers=num_workers,
            input_size=input_size,
            enlarge=enlarge,
            rotation=rotation,
            scale=scale,
            flip=flip,
            photometric=photometric,
            seed=seed,
        )
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
