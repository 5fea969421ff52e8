"""What every data module shares: loaders whose order and augmentation survive a restart."""

import os
from abc import ABC, abstractmethod
from typing import Any, Literal

import albumentations as A
import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_pose.batch import collate
from lightning_pose.datamodules.samplers import CropDataset, PersonBatchSampler
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import InputError
from lightning_pose.skeletons import Skeleton
from lightning_pose.transforms import PersonCrop, Photometric

__all__ = ["PoseDataModule"]

Split = Literal["train", "val", "test"]


class PoseDataModule(pl.LightningDataModule, ABC):
    """Batches of cropped people for training, validation and test.

    Which people form a batch, and how each is augmented, depends on the seed, the epoch and the
    person alone: workers, restarts and the number of processes change nothing. The position in
    training is kept in the checkpoint, and a run goes on from there also in the middle of an epoch.

    Args:
        joints: The skeleton of the samples.
        batch_size: People in a batch, over all processes.
        num_workers: Processes that load pictures; 0 loads in the training process.
        input_size: Height and width of the network's input in pixels.
        enlarge: How much larger than a person's box its crop is.
        rotation: Largest turn of a training crop in degrees.
        scale: Largest change of size of a training crop, see `PersonCrop`.
        flip: Probability that a training crop is mirrored.
        photometric: Albumentations transforms of training pictures.
        seed: Seed of order and augmentation.

    Raises:
        InputError: A setting is out of its range.
    """

    def __init__(
        self,
        joints: Skeleton,
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
        super().__init__()
        if num_workers < 0:
            raise InputError(
                f"Expected data.num_workers of 0 or more, found {num_workers}; 0 loads in the "
                "training process."
            )
        # As plain data, which is what a model is given and a checkpoint can keep.
        self.skeleton: dict[str, Any] = joints.to_dict()
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.enlarge = enlarge
        self.rotation = rotation
        self.scale = scale
        self.flip = flip
        self.photometric = photometric
        self.seed = seed
        self._training_crop = PersonCrop(
            self.input_size, joints, enlarge=enlarge, rotation=rotation, scale=scale, flip=flip
        )
        self._evaluation_crop = PersonCrop(self.input_size, joints, enlarge=enlarge)
        self._photometric = Photometric(photometric) if photometric else None
        self._datasets: dict[Split, PoseDataset] = {}
        self._position = 0
        self._restored_length: int | None = None
        self._sampler: PersonBatchSampler | None = None

    @abstractmethod
    def make_dataset(self, split: Split) -> PoseDataset:
        """Open one split.

        Args:
            split: "train", "val" or "test".

        Returns:
            Its people.

        Raises:
            InputError: The files are missing or do not fit together.
        """

    def setup(self, stage: str) -> None:
        """Open the splits that a stage needs, so that bad files are found before training.

        Args:
            stage: Lightning's word: "fit", "validate" or "test".

        Raises:
            InputError: The files are bad, or Lightning is told to shard the data itself.
        """
        trainer = self.trainer
        if trainer is not None:
            connector = trainer._accelerator_connector
            if connector.is_distributed and connector.use_distributed_sampler:
                raise InputError(
                    "Expected use_distributed_sampler=False of a trainer with a distributed "
                    "strategy, found True; set it to false, since the data module splits each "
                    "batch among the processes itself."
                )
        splits: dict[str, tuple[Split, ...]] = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
        }
        for split in splits.get(stage, ()):
            if split not in self._datasets:
                self._datasets[split] = self.make_dataset(split)
        if stage == "fit" and (
            trainer is None or trainer.fit_loop.epoch_progress.current.ready == 0
        ):
            # A new trainer starts from the beginning; a checkpoint is loaded after this hook.
            self._position = 0
            self._restored_length = None
            self._sampler = None

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled and augmented people, from the position in training on.

        Raises:
            InputError: The people do not fill one batch, and several processes wait for them; or a
                checkpoint is of a run whose epochs had another number of batches.
        """
        people = self._people("train")
        rank, world_size = self._process()
        if len(people) < self.batch_size and world_size > 1:
            raise InputError(
                f"Expected at least batch_size={self.batch_size} people for training in "
                f"{world_size} processes, found {len(people)}; choose a smaller batch_size."
            )
        self._position = self._consumed()
        # Lightning's overfit_batches means the same batches again and again.
        same = bool(getattr(self.trainer, "overfit_batches", 0))
        self._sampler = PersonBatchSampler(
            len(people),
            self.batch_size,
            seed=self.seed,
            shuffle=not same,
            # Fewer people than a batch are one small batch.
            drop_last=len(people) >= self.batch_size,
            rank=rank,
            world_size=world_size,
            position=self._position,
        )
        if self._restored_length not in (None, len(self._sampler)):
            raise InputError(
                f"Expected {self._restored_length} batches an epoch, as in the run that the "
                f"checkpoint goes on with, found {len(self._sampler)}; keep its batch_size and its "
                "people, or begin a new run."
            )
        if same:
            crops = CropDataset(people, self._evaluation_crop)
        else:
            crops = CropDataset(people, self._training_crop, self._photometric, self.seed)
        return self._loader(crops, self._sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """The people of the validation split, in order and without chance."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """The people of the test split, in order and without chance."""
        return self._evaluation_loader("test")

    def state_dict(self) -> dict[str, Any]:
        """The position in training, in batches, and how many of them an epoch has."""
        length = self._restored_length if self._sampler is None else len(self._sampler)
        return {"position": self._consumed(), "length": length}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the position that a checkpoint was written at.

        Args:
            state_dict: What `state_dict` gave.
        """
        self._position = int(state_dict["position"])
        self._restored_length = state_dict.get("length")
        self._sampler = None

    def _people(self, split: Split) -> PoseDataset:
        if split not in self._datasets:
            self._datasets[split] = self.make_dataset(split)
        return self._datasets[split]

    def _process(self) -> tuple[int, int]:
        """Rank of this process, and how many there are."""
        return (
            (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        )

    def _on_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type != "cpu"

    def _consumed(self) -> int:
        """Batches trained on, counted by the trainer: workers have drawn some ahead of it."""
        sampler, trainer = self._sampler, self.trainer
        if sampler is None or trainer is None or sampler.position == self._position:
            return self._position
        epoch = trainer.fit_loop.epoch_progress.current.state_dict()
        done = int(trainer.fit_loop.epoch_loop.batch_progress.current.state_dict()["processed"])
        if epoch["started"] == epoch["processed"] or done >= trainer.num_training_batches:
            return sampler.position
        return sampler.position - len(sampler) + done

    def _evaluation_loader(self, split: Split) -> DataLoader[Any]:
        people = self._people(split)
        rank, world_size = self._process()
        if len(people) < world_size:
            raise InputError(
                f"Expected at least one person in the {split} split for each of {world_size} "
                f"processes, found {len(people)}; evaluate with --trainer.devices 1."
            )
        sampler = PersonBatchSampler(
            len(people), self.batch_size, shuffle=False, rank=rank, world_size=world_size
        )
        return self._loader(CropDataset(people, self._evaluation_crop), sampler)

    def _loader(self, crops: CropDataset, sampler: PersonBatchSampler) -> DataLoader[Any]:
        return _Loader(
            crops,
            batch_sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
            persistent_workers=self.num_workers > 0,
            pin_memory=self._on_gpu() and torch.cuda.is_available(),
            worker_init_fn=_begin_worker if self._on_gpu() else _begin_modest_worker,
        )


class _Loader(DataLoader[Any]):
    """A loader whose epoch starts when its first batch is asked for.

    Lightning makes an iterator before it knows whether this epoch has batches left, and makes
    another one if it has not: only the one that is used may count as an epoch.
    """

    def __iter__(self) -> Any:  # An iterator of batches, where torch names a class of its own.
        try:
            yield from super().__iter__()
        except InputError as error:
            # A worker's error arrives as a traceback in words, which ends with the sentence.
            raise InputError(str(error).strip().split("InputError: ")[-1]) from error

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the data module keeps the position.

        Lightning asks only whether a loader can go on in the middle of an epoch, and it loads a
        loader's state too late when a scheduler has asked for the number of steps first
        (https://github.com/Lightning-AI/pytorch-lightning/issues/20550).
        """
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load, see `state_dict`."""


def _begin_worker(_worker: int) -> None:
    # Workers are the parallelism; threads of OpenCV in each of them would fight over the cores.
    cv2.setNumThreads(0)


def _begin_modest_worker(worker: int) -> None:
    """Leave the cores to the network, which is trained on the same ones.

    Its threads wait for each other after every layer, so one that a worker has pushed aside holds
    up all; a worker has the time that it needs while the network waits for a batch.
    """
    _begin_worker(worker)
    if hasattr(os, "nice"):  # Not on Windows.
        os.nice(19)
