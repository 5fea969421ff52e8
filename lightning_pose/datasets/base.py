"""The dataset contract: native files on disk in, one person at a time out."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Dataset

from lightning_pose.batch import Sample
from lightning_pose.skeletons import Skeleton

__all__ = ["PoseDataset"]


class PoseDataset(Dataset[Sample], ABC):
    """People with what is known of them, each read from disk when it is asked for.

    Index base, inverted flags and sentinel values of the files are converted in the subclass and
    nowhere else. Annotations are held in a few numpy arrays: forked workers share those, whereas a
    Python list of a million objects is copied page by page as its reference counts change.

    Attributes:
        skeleton: The joints of every sample, in order.
        person_ids: The number of each person within the dataset, across splits.
    """

    skeleton: Skeleton
    person_ids: Int64[np.ndarray, " N"]

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self.person_ids)

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Read one person.

        Args:
            index: Which, from 0 to N - 1.

        Returns:
            The person, with every coordinate in source pixels.
        """
