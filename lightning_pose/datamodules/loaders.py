"""From a dataset and a sampler to batches: crops, worker processes, and their errors."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from threading import Thread
from typing import Any, Literal

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lightning_pose.batch import Batch, collate
from lightning_pose.datamodules.samplers import PersonBatchSampler
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import ConfigError, DataError, InputError
from lightning_pose.sample import Annotation, CroppedSample
from lightning_pose.transforms import PersonCrop, Photometric

__all__ = ["CropDataset", "Unreadable", "make_loader", "refuse_sharding"]

Unreadable = Literal["stop", "skip"]
"""What to do with a person whose files cannot be read."""

_CAN_WAIT = hasattr(signal, "sigwaitinfo")
"""Whether a signal's sender can be told: on Linux, where batch systems run."""


class CropDataset(Dataset[CroppedSample]):
    """The people of a dataset, cropped and augmented as a function of (seed, epoch, person, draw).

    Args:
        dataset: The people.
        crop: Crops a person.
        photometric: Changes the image of the crop, if given.
        seed: Seed of the augmentation.
        unreadable: "skip" puts a black crop without labels in the place of a person whose files
            cannot be read; its `image_size` is (0, 0).
    """

    def __init__(
        self,
        dataset: PoseDataset,
        crop: PersonCrop,
        photometric: Photometric | None = None,
        seed: int = 0,
        unreadable: Unreadable = "stop",
    ) -> None:
        self.dataset = dataset
        self.crop = crop
        self.photometric = photometric
        self.seed = seed
        self.unreadable = unreadable

    def __len__(self) -> int:
        """The number of people."""
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int, int]) -> CroppedSample:
        """Read and crop one person.

        Args:
            key: The epoch, the person's index and the draw, as `PersonBatchSampler` yields them.

        Returns:
            The crop.

        Raises:
            DataError: The person's files cannot be read, and nobody is skipped.
        """
        epoch, index, draw = key
        person_id = int(self.dataset.person_ids[index])
        rng = np.random.default_rng([self.seed, epoch, person_id, draw])
        try:
            sample = self.crop(self.dataset, index, rng)
        except DataError:
            if self.unreadable == "stop":
                raise
            return _unlabelled(self.dataset, index, self.crop.input_spec.nominal_size)
        return sample if self.photometric is None else self.photometric(sample, rng)


def _unlabelled(dataset: PoseDataset, index: int, size: tuple[int, int]) -> CroppedSample:
    """A black crop of a person of whom nothing is known, so that it teaches nothing."""
    joints = dataset.skeleton.num_joints
    keypoints, visibility = np.zeros((joints, 2), np.float32), np.zeros(joints, np.uint8)
    return CroppedSample(
        image=np.zeros((*size, 3), np.uint8),
        keypoints=keypoints,
        visibility=visibility,
        mask=np.full(size, -1, np.int8),
        crop=np.eye(2, 3, dtype=np.float32),
        image_size=(0, 0),
        annotation=Annotation(
            keypoints=keypoints,
            visibility=visibility,
            box=np.zeros(4, np.float32),
            head_size=0.0,
            torso_size=0.0,
            area=0.0,
            labels={name: -1 if classes else np.nan for name, classes in dataset.labels.items()},
            person_id=int(dataset.person_ids[index]),
            image_id=str(dataset.image_ids[index]),
        ),
    )


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
        collate_fn=_collate,
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
            with _sigterm_blocked():
                batches = super().__iter__()
            yield from batches
        except InputError as error:
            # An error in a worker arrives with its class and the text of its whole traceback, which
            # ends with the class name and the message.
            kind = type(error)
            sentence = str(error).strip().split(f"{kind.__module__}.{kind.__qualname__}: ")[-1]
            raise kind(sentence) from error

    def state_dict(self) -> dict[str, Any]:
        """Empty: the data module keeps the position.

        Lightning only checks whether a loader can resume in the middle of an epoch, and it loads a
        loader's state too late if a scheduler has asked for the number of steps first
        (https://github.com/Lightning-AI/pytorch-lightning/issues/20550).
        """
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load, see `state_dict`."""


def _collate(samples: Sequence[CroppedSample]) -> Batch:
    """Collate crops, in a worker into shared memory.

    Left to itself, torch moves the tensors there in a thread of the worker, whose errors nobody
    gets: where the memory is full, as in a container with 64 MB, training would wait forever.
    """
    batch = collate(samples)
    return batch if get_worker_info() is None else batch.share_memory()


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
    # Ctrl-C in a terminal is sent to the workers, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _CAN_WAIT:
        Thread(target=_end_for_training_process, daemon=True).start()


@contextlib.contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """Block SIGTERM in this thread, and so in every thread of the workers that it starts."""
    if not _CAN_WAIT:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_for_training_process() -> None:
    """End this worker at a SIGTERM of the training process, and at nobody else's.

    A batch system sends SIGTERM to all processes, and the training process still needs its workers
    to end its step.
    """
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def _begin_low_priority_worker(worker: int) -> None:
    """Lower the priority of a worker, because the network trains on the same cores.

    The network's threads wait for each other after every layer, so a worker that displaces one of
    them holds up all of them. Workers get enough time while the network waits for a batch.
    """
    _begin_worker(worker)
    if hasattr(os, "nice"):  # Not on Windows.
        os.nice(19)
