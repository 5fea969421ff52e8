"""From a dataset and a sampler to batches: crops, worker processes, and their errors."""

import os
import signal
from typing import Any

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from lightning_pose.batch import collate
from lightning_pose.datamodules.samplers import PersonBatchSampler
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import ConfigError, DataError, InputError
from lightning_pose.sample import CroppedSample
from lightning_pose.transforms import PersonCrop, Photometric

__all__ = ["CropDataset", "make_loader", "refuse_sharding"]


class CropDataset(Dataset[CroppedSample]):
    """The people of a dataset, cropped and augmented as a function of (seed, epoch, person, draw).

    Args:
        dataset: The people.
        crop: Crops a person.
        photometric: Changes the image of the crop, if given.
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        dataset: PoseDataset,
        crop: PersonCrop,
        photometric: Photometric | None = None,
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.crop = crop
        self.photometric = photometric
        self.seed = seed

    def __len__(self) -> int:
        """The number of people."""
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int, int]) -> CroppedSample:
        """Read and crop one person.

        Args:
            key: The epoch, the person's index and the draw, as `PersonBatchSampler` yields them.

        Returns:
            The crop.
        """
        epoch, index, draw = key
        person_id = int(self.dataset.person_ids[index])
        rng = np.random.default_rng([self.seed, epoch, person_id, draw])
        sample = self.crop(self.dataset, index, rng)
        return sample if self.photometric is None else self.photometric(sample, rng)


def make_loader(
    crops: CropDataset, sampler: PersonBatchSampler, num_workers: int, on_gpu: bool
) -> DataLoader[Any]:
    """Make a loader of batches.

    Args:
        crops: The people.
        sampler: Which of them form the batches.
        num_workers: Processes that load images; 0 loads in this one.
        on_gpu: Whether the network runs on a GPU, which leaves the CPU to the workers.

    Returns:
        The loader; each iteration over it is one epoch of the sampler.
    """
    return _Loader(
        crops,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        persistent_workers=num_workers > 0,
        pin_memory=on_gpu and torch.cuda.is_available(),
        worker_init_fn=_begin_worker if on_gpu else _begin_low_priority_worker,
    )


class _Loader(DataLoader[Any]):
    """A loader whose epoch starts when its first batch is requested.

    Lightning creates an iterator before it knows whether this epoch has batches left, and creates
    another one if it has none: only the iterator that is used may count as an epoch.
    """

    def __iter__(self) -> Any:  # An iterator of batches; torch's annotation is its own class.
        try:
            yield from super().__iter__()
        except InputError as error:
            # An error in a worker arrives with its class and the text of its whole traceback, which
            # ends with the class name and the message.
            kind = type(error)
            sentence = str(error).strip().split(f"{kind.__module__}.{kind.__qualname__}: ")[-1]
            raise kind(sentence) from error
        except RuntimeError as error:
            # torch has no class of its own for this.
            if not str(error).startswith("DataLoader worker"):
                raise
            raise DataError(
                f"Expected {self.num_workers} data workers to run, found that one was killed, "
                "usually for lack of memory; use fewer data.num_workers or close other programs."
            ) from error

    def state_dict(self) -> dict[str, Any]:
        """Empty: the data module keeps the position.

        Lightning only checks whether a loader can resume in the middle of an epoch, and it loads a
        loader's state too late if a scheduler has asked for the number of steps first
        (https://github.com/Lightning-AI/pytorch-lightning/issues/20550).
        """
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load, see `state_dict`."""


def refuse_sharding(trainer: pl.Trainer) -> None:
    """Refuse a trainer that would split the people among processes a second time.

    Raises:
        ConfigError: The strategy is distributed and Lightning would replace the sampler.
    """
    connector = trainer._accelerator_connector
    if connector.is_distributed and connector.use_distributed_sampler:
        raise ConfigError(
            "Expected use_distributed_sampler=False of a trainer with a distributed strategy, "
            "found True; set it to false, since the data module splits each batch among the "
            "processes itself."
        )


def _begin_worker(_worker: int) -> None:
    # The workers run in parallel; OpenCV's threads in each of them would compete for the cores.
    cv2.setNumThreads(0)
    signal.signal(signal.SIGTERM, _survive_once)


def _survive_once(*_: Any) -> None:
    """Leave it to the training process to end its workers when SIGTERM is sent to all of them.

    A batch system does that, and the training process still needs them to end its step. A second
    SIGTERM is how it ends a worker that does not answer.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _begin_low_priority_worker(worker: int) -> None:
    """Lower the priority of a worker, because the network trains on the same cores.

    The network's threads wait for each other after every layer, so a worker that displaces one of
    them holds up all of them. Workers get enough time while the network waits for a batch.
    """
    _begin_worker(worker)
    if hasattr(os, "nice"):  # Not on Windows.
        os.nice(19)
