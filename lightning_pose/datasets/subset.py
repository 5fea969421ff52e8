"""Some of the people of a dataset."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.input_spec import BoxAround
from lightning_pose.sample import Annotation, Pixels

__all__ = ["Subset"]


class Subset(PoseDataset):
    """Some people of another dataset, such as one split of it, with the numbers they have there.

    Args:
        people: The dataset.
        indices: Which people, in order.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> everyone = SyntheticDataset("train", length=5)
        >>> Subset(everyone, np.array([4, 1])).person_ids.tolist()
        [4, 1]
    """

    def __init__(self, people: PoseDataset, indices: Int64[np.ndarray, " N"]) -> None:
        self.people = people
        self.indices = indices
        self.skeleton = people.skeleton
        self.labels = people.labels
        self.boxes_around = people.boxes_around
        self.person_ids = people.person_ids[indices]

    @property
    @override
    def image_ids(self) -> np.ndarray:
        names: np.ndarray = self.people.image_ids[self.indices]
        return names

    @override
    def annotation(self, index: int) -> Annotation:
        return self.people.annotation(int(self.indices[index]))

    @override
    def box_around(self, index: int) -> BoxAround:
        return self.people.box_around(int(self.indices[index]))

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        return self.people.files(int(self.indices[index]))

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return self.people.image_size(int(self.indices[index]))

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        return self.people.read(int(self.indices[index]), shrink)
