"""What every data module shares: settings, splits, and loaders that survive a restart."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import albumentations as A
import numpy as np
import pytorch_lightning as pl
from jaxtyping import Int64
from torch.utils.data import DataLoader
from typing_extensions import override

from lightning_pose.datamodules.cache import CachedDataset
from lightning_pose.datamodules.input_sizes import input_sizes
from lightning_pose.datamodules.loaders import (
    CropDataset,
    Unreadable,
    make_loader,
    refuse_sharding,
)
from lightning_pose.datamodules.progress import Progress
from lightning_pose.datamodules.samplers import (
    Buckets,
    InOrder,
    PersonBatchSampler,
    Plan,
    Shuffled,
)
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.checks import check_disjoint, check_people
from lightning_pose.datasets.skeleton_files import check_sides
from lightning_pose.errors import ConfigError, InputError, LeakError
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import Skeleton
from lightning_pose.transforms import PersonCrop, Photometric

__all__ = ["PoseDataModule", "Split"]

Split = Literal["train", "val", "test"]

_STAGES: dict[str, list[Split]] = {"fit": ["train", "val"], "validate": ["val"], "test": ["test"]}


class PoseDataModule(pl.LightningDataModule, ABC):
    """Batches of cropped people for training, validation and test.

    Which people form a batch, and how each is augmented, depends only on the seed, the epoch and
    the person, not on workers, restarts or the number of processes. The checkpoint stores the
    position in training, and a run resumes from there, even within an epoch.

    Args:
        skeleton: The joints of every person.
        input_spec: How an image becomes the network's input.
        batch_size: People per batch, over all processes.
        num_workers: Processes that load images; 0 loads in the training process.
        rotation: Largest rotation of a training crop in degrees.
        scale: Largest change in scale of a training crop, or a range such as [0.75, 1.25], see
            `PersonCrop`.
        flip: Probability that a training crop is mirrored.
        shift: Largest shift of a training crop, as a fraction of its width and height, so that the
            model also works on boxes that are not centred on the joints.
        box_jitter: Largest shift of each edge of a person's box in training, as a fraction of its
            width or height, so that the model also works on boxes that are not tight.
        photometric: Albumentations transforms for training images that move no pixels: colour,
            blur, noise, and dropouts that hide parts of the person, see `Photometric`.
        cache: Folder in which to keep what training shows of each image, so that no image is
            decoded twice, see `CachedDataset`; by default there is none.
        unreadable: What to do in training with a person whose files cannot be read: "stop" ends
            the run and names the file; "skip" learns nothing from this person, and says at the end
            of an epoch who was skipped. Validation, test and filling a cache always stop.
        seed: Seed for order and augmentation.

    Attributes:
        labels: Image-level labels by name, with the names of their classes; a label without classes
            is a number. A data module whose dataset has labels sets it in its constructor.
        set_names: The names of the sets of a mix, for which metrics are also given one by one.
        caveat: What users of a model that is trained on these data should know, printed at the end
            of training; usually nothing.

    Raises:
        ConfigError: A setting is out of range.
    """

    caveat: ClassVar[str] = ""
    set_names: tuple[str, ...] = ()

    def __init__(
        self,
        skeleton: Skeleton,
        input_spec: InputSpec = InputSpec(),  # noqa: B008  # It is frozen.
        batch_size: int = 32,
        num_workers: int = 2,
        rotation: float = 30.0,
        scale: float | tuple[float, float] = 0.25,
        flip: float = 0.5,
        shift: float = 0.05,
        box_jitter: float = 0.0,
        photometric: list[A.BasicTransform] | None = None,
        cache: Path | None = None,
        unreadable: Unreadable = "stop",
        seed: int = 0,
    ) -> None:
        super().__init__()
        most = max(64, os.cpu_count() or 1)
        if not 0 <= num_workers <= most:
            raise ConfigError(
                f"Expected data.num_workers from 0 to {most}, found {num_workers}; 0 loads in the "
                "training process, and 2 per GPU is a good start."
            )
        self.skeleton, self.input_spec = skeleton, input_spec
        self.labels: dict[str, list[str]] = {}
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.rotation = rotation
        self.scale = scale
        self.flip = flip
        self.shift = shift
        self.box_jitter = box_jitter
        self.photometric = photometric
        self.cache = cache
        self.unreadable = unreadable
        self.seed = seed
        self._training_crop = PersonCrop(
            input_spec, skeleton, rotation, scale, flip, shift, box_jitter
        )
        self._evaluation_crop = PersonCrop(input_spec)
        self._photometric = Photometric(photometric) if photometric else None
        self._datasets: dict[Split, PoseDataset] = {}
        self._sizes: dict[Split, Int64[np.ndarray, "N 2"]] = {}
        self._progress = Progress()

    @abstractmethod
    def make_dataset(self, split: Split) -> PoseDataset:
        """Open one split.

        Args:
            split: "train", "val" or "test".

        Returns:
            Its people.

        Raises:
            MissingSplitError: There is no such split.
            InputError: The files are missing or do not fit together.
        """

    def everyone(self) -> PoseDataset:
        """Open the people of all splits, if the data module has the setting `splits`.

        Returns:
            The people of all splits.

        Raises:
            InputError: This data module has other splits, or the files are bad.
        """
        raise ConfigError(
            f"Expected data whose people data.splits divides, found {type(self).__name__} without "
            "it; set data.splits, or use the splits as they are."
        )

    def make_plan(self, split: Split, seed: int | None) -> Plan:
        """Decide which people form the batches of a split: everyone once per epoch.

        Args:
            split: "train", "val" or "test".
            seed: Seed for the order; None for batches that are the same in every epoch.

        Returns:
            The plan.
        """
        people, size = self._people(split), self.batch_size
        # Fewer people than a batch form one small batch.
        drop_last = split == "train" and len(people) >= size
        if self.input_spec.short_side is not None:
            if split not in self._sizes:
                skip = split == "train" and self.unreadable == "skip"
                self._sizes[split] = input_sizes(people, self.input_spec, skip)
            return Buckets(self._sizes[split], size, seed, drop_last)
        if seed is None:
            return InOrder(len(people), size, drop_last)
        return Shuffled(len(people), size, seed, drop_last)

    def setup(self, stage: str) -> None:
        """Open the splits of Lightning's stage, so that bad files are found before training.

        Training and test also compare their people with those of all other splits.

        Raises:
            InputError: The files are bad, a person is in two splits, the names of the joints do not
                say which ones a flip swaps, or Lightning is configured to shard the data itself.
        """
        if self.trainer is not None:
            refuse_sharding(self.trainer)
        if stage == "fit" and self.flip > 0:
            check_sides(self.skeleton)
        for split in _STAGES.get(stage, ()):
            self._people(split)
        if stage in ("fit", "test"):
            self._compare_with_other_splits()
        if stage == "fit":
            self._progress.begin(self.trainer)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled and augmented people, from the position in training.

        Raises:
            ConfigError: There is nobody, there are fewer people than one batch but several
                processes, or a checkpoint is from a run whose epochs had a different number of
                batches.
        """
        people, (rank, world_size) = self._anybody("train"), self._process()
        # Lightning's overfit_batches means the same batches in every epoch.
        same = bool(getattr(self.trainer, "overfit_batches", 0))
        if same:
            crops = CropDataset(people, self._evaluation_crop)
        else:
            if self.cache is not None:
                people = CachedDataset(people, self._training_crop, self.cache, self.num_workers)
            augmentation = (self._training_crop, self._photometric, self.seed)
            crops = CropDataset(people, *augmentation, self.unreadable)
        plan = self.make_plan("train", None if same else self.seed)
        if plan.num_people < self.batch_size and world_size > 1:
            raise ConfigError(
                f"Expected at least batch_size={self.batch_size} people for training in "
                f"{world_size} processes, found {plan.num_people}; choose a smaller batch_size."
            )
        sampler = PersonBatchSampler(plan, rank, world_size)
        self._progress.follow(sampler, self.trainer)
        return make_loader(crops, sampler, self.num_workers, self._on_gpu())

    def val_dataloader(self) -> DataLoader[Any]:
        """The people of the validation split, each once and without augmentation."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """The people of the test split, each once and without augmentation."""
        return self._evaluation_loader("test")

    @override
    def state_dict(self) -> dict[str, Any]:
        return self._progress.state_dict(self.trainer)

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._progress.load_state_dict(state_dict)

    def _people(self, split: Split) -> PoseDataset:
        if split not in self._datasets:
            people = self.make_dataset(split)
            check_people(people, self.skeleton, self.labels)
            for other, others in self._datasets.items():
                check_disjoint(people, others, split, other)
            self._datasets[split] = people
        return self._datasets[split]

    def _compare_with_other_splits(self) -> None:
        """Refuse people of the open splits who are in another one, if that can be opened."""
        for split in get_args(Split):
            if split in self._datasets:
                continue
            try:
                people = self.make_dataset(split)
            except LeakError:
                raise
            except InputError:
                # Its files need not be there, and are judged when the split itself is used.
                continue
            for other, others in self._datasets.items():
                check_disjoint(people, others, split, other)

    def _anybody(self, split: Split) -> PoseDataset:
        """The people of a split that must have some."""
        people = self._people(split)
        if not len(people):
            raise ConfigError(
                f"Expected at least one person in the {split} split, found none; choose other "
                "splits, or more people."
            )
        return people

    def _process(self) -> tuple[int, int]:
        """Rank of this process, and the number of processes."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _on_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type != "cpu"

    def _evaluation_loader(self, split: Split) -> DataLoader[Any]:
        people, (rank, world_size) = self._anybody(split), self._process()
        if len(people) < world_size:
            raise ConfigError(
                f"Expected at least one person in the {split} split for each of {world_size} "
                f"processes, found {len(people)}; evaluate with --trainer.devices 1."
            )
        crops = CropDataset(people, self._evaluation_crop)
        sampler = PersonBatchSampler(self.make_plan(split, seed=None), rank, world_size)
        return make_loader(crops, sampler, self.num_workers, self._on_gpu())
