"""Order and chance as functions: which people form batch n, and how each of them is augmented."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, Sampler

from lightning_pose.batch import Example
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import InputError
from lightning_pose.transforms import PersonCrop, Photometric

__all__ = ["CropDataset", "PersonBatchSampler"]


class PersonBatchSampler(Sampler[list[tuple[int, int]]]):
    """Yields batches of (epoch, index), in an order that depends on (seed, epoch) alone.

    A batch is split among the processes, so that together they see the same people at each step as
    one process would; a batch that does not fill every process leaves some without, and no person
    is seen twice. Each iteration is one epoch, and the next starts the next epoch, even if this one
    was left half-way.

    Args:
        num_people: People in the dataset.
        batch_size: People in a batch, over all processes.
        seed: Seed of the order.
        shuffle: Draw a new order for each epoch; otherwise go through the indices as they are.
        drop_last: Leave out the people of an epoch that do not fill a batch.
        rank: Which process this is, from 0.
        world_size: Number of processes.
        position: Batches consumed since the start of training, the sampler's only state.

    Raises:
        InputError: The batch cannot be split evenly among the processes.

    Example:
        >>> sampler = PersonBatchSampler(5, batch_size=2, seed=0, shuffle=False)
        >>> list(sampler)
        [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]
        >>> sampler.position
        3
    """

    def __init__(
        self,
        num_people: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        position: int = 0,
    ) -> None:
        if batch_size < 1 or batch_size % world_size:
            raise InputError(
                f"Expected a batch_size that {world_size} processes can share evenly, found "
                f"{batch_size}; it counts the people of all processes together."
            )
        self.num_people = num_people
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.rank = rank
        self.world_size = world_size
        self.position = position

    def __len__(self) -> int:
        """Batches that a whole epoch has for this process."""
        full, rest = divmod(self.num_people, self.batch_size)
        return full + (rest > self.rank and not self.drop_last)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Go through the rest of the epoch that `position` lies in."""
        epoch, start = divmod(self.position, len(self))
        self.position = (epoch + 1) * len(self)
        order = np.arange(self.num_people)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        for batch in range(start, len(self)):
            people = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, int(index)) for index in people[self.rank :: self.world_size]]


class CropDataset(Dataset[Example]):
    """The people of a dataset, cropped and augmented as (seed, epoch, person) says.

    Args:
        dataset: The people.
        crop: Cuts out a person.
        photometric: Changes the picture of the crop, if given.
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

    def __getitem__(self, key: tuple[int, int]) -> Example:
        """Read and crop one person.

        Args:
            key: The epoch and the person's index, as `PersonBatchSampler` yields them.

        Returns:
            The crop.
        """
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, int(self.dataset.person_ids[index])])
        example = self.crop(self.dataset[index], rng)
        return example if self.photometric is None else self.photometric(example, rng)
