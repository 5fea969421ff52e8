"""Leeds Sports Pose Extended as batches."""

from pathlib import Path

import albumentations as A

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.skeletons import LSP14

__all__ = ["LSPExtendedDataModule"]


class LSPExtendedDataModule(PoseDataModule):
    """Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011).

    The default splits are the protocol LSPE-v1: pictures 1 to 8500 train, 8501 to 9250 validate,
    9251 to 10000 test.

    Args:
        root: The folder with joints.mat, images/ and optionally masks/.
        train: First and last picture of the training split.
        val: First and last picture of the validation split.
        test: First and last picture of the test split.
        batch_size: People in a batch, over all processes.
        num_workers: Processes that load pictures; 0 loads in the training process.
        input_size: Height and width of the network's input in pixels.
        enlarge: How much larger than a person's box its crop is.
        rotation: Largest turn of a training crop in degrees.
        scale: Largest change of size of a training crop, see `PersonCrop`.
        flip: Probability that a training crop is mirrored.
        photometric: Albumentations transforms of training pictures.
        seed: Seed of order and augmentation.
    """

    def __init__(
        self,
        root: str | Path,
        train: tuple[int, int] = (1, 8500),
        val: tuple[int, int] = (8501, 9250),
        test: tuple[int, int] = (9251, 10000),
        batch_size: int = 32,
        num_workers: int = 2,
        input_size: tuple[int, int] = (128, 128),
        enlarge: float = 1.25,
        rotation: float = 40.0,
        scale: float = 0.3,
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
        self.root = Path(root)
        self.train = train
        self.val = val
        self.test = test

    def make_dataset(self, split: Split) -> LSPExtendedDataset:
        """Open one split.

        Args:
            split: "train", "val" or "test".

        Returns:
            Its people.

        Raises:
            InputError: The files are missing or do not fit together.
        """
        first, last = {"train": self.train, "val": self.val, "test": self.test}[split]
        return LSPExtendedDataset(self.root, first, last)
