"""Synthetic people in memory, so that tests can plant one fault among labels that are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np

from lightning_pose.datamodules import PoseDataModule
from lightning_pose.datasets import SyntheticDataset
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.measures import joint_boxes, segment_lengths
from lightning_pose.diagnosis import Examination, examine
from lightning_pose.diagnosis.people import People, read_people
from lightning_pose.errors import ConfigError
from lightning_pose.sample import Annotation, Pixels, Sample
from lightning_pose.skeletons import LSP14, Skeleton

Samples = list[Sample]
SIZES = {"train": 160, "val": 60}


@cache
def _drawn(split: str) -> tuple[Sample, ...]:
    people = SyntheticDataset(split, SIZES[split])
    return tuple(people[index] for index in range(len(people)))


def drawn(split: str = "train") -> Samples:
    """Copies of some synthetic people, which a test may change."""
    return [
        replace(
            sample,
            keypoints=sample.keypoints.copy(),
            visibility=sample.visibility.copy(),
            box=sample.box.copy(),
            image=sample.image.copy(),
            mask=sample.mask.copy(),
        )
        for sample in _drawn(split)
    ]


class InMemory(PoseDataset):
    """A dataset of samples."""

    def __init__(self, samples: Sequence[Sample], skeleton: Skeleton = LSP14) -> None:
        self.samples = samples
        self.skeleton = skeleton
        self.labels: dict[str, list[str]] = {}
        self.person_ids = np.array([sample.person_id for sample in samples], dtype=np.int64)

    @property
    def image_ids(self) -> np.ndarray:
        return np.array([sample.image_id for sample in self.samples])

    def annotation(self, index: int) -> Annotation:
        sample = self.samples[index]
        return Annotation(**{f.name: getattr(sample, f.name) for f in fields(Annotation)})

    def image_size(self, index: int) -> tuple[int, int]:
        return self.samples[index].image.shape[:2]

    def read(self, index: int, shrink: int = 1) -> Pixels:
        return Pixels(image=self.samples[index].image, mask=self.samples[index].mask)


@dataclass
class Planted:
    """A train and a val split, and what their data module says about them."""

    train: Samples = field(default_factory=drawn)
    val: Samples = field(default_factory=lambda: drawn("val"))
    skeleton: Skeleton = LSP14
    settings: dict[str, Any] = field(default_factory=dict)

    def data(self) -> PoseDataModule:
        return _Data(self, self.skeleton, **self.settings)

    def examine(self, copies: bool = False) -> Examination:
        return examine(self.data(), 1000, copies, quietly)


class _Data(PoseDataModule):
    def __init__(self, planted: Planted, skeleton: Skeleton, **settings: Any) -> None:
        super().__init__(skeleton, **settings)
        self.planted = planted

    def make_dataset(self, split: str) -> PoseDataset:
        if split == "test":
            raise ConfigError("Expected no test split, found the wish for one; make none.")
        return InMemory(getattr(self.planted, split), self.skeleton)


def quietly(items: Sequence[int], description: str) -> Sequence[int]:
    """Show no progress."""
    return items


def table(samples: Sequence[Sample], skeleton: Skeleton = LSP14, split: str = "train") -> People:
    """The people of some samples as the doctor reads them."""
    return read_people(split, split, InMemory(samples, skeleton), quietly)


def move(samples: Samples, change: Callable[[np.ndarray, Sample], np.ndarray]) -> Samples:
    """Change the coordinates of labelled joints, and what follows from them."""
    moved = []
    for sample in samples:
        points = change(sample.keypoints, sample).astype(np.float32)
        points[sample.visibility == 0] = 0
        moved.append(measured(replace(sample, keypoints=points)))
    return moved


def measured(sample: Sample, skeleton: Skeleton = LSP14) -> Sample:
    """The sample with the box and the sizes that follow from its joints."""
    points, visibility = sample.keypoints[None], sample.visibility[None]
    return replace(
        sample,
        box=joint_boxes(points, visibility)[0],
        head_size=float(segment_lengths(points, visibility, skeleton.head)[0]),
        torso_size=float(segment_lengths(points, visibility, skeleton.torso)[0]),
    )


def mirror(sample: Sample, order: Sequence[int]) -> Sample:
    """The mirrored image and mask, and joints that are mirrored and then taken in an order."""
    points = sample.keypoints * np.float32([-1, 1]) + np.float32([sample.image.shape[1] - 1, 0])
    return measured(
        replace(
            sample,
            image=np.ascontiguousarray(sample.image[:, ::-1]),
            mask=np.ascontiguousarray(sample.mask[:, ::-1]),
            keypoints=points[list(order)],
            visibility=sample.visibility[list(order)],
        )
    )
