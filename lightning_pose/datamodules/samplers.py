"""A deterministic order: which people form batch n of an epoch, and which process loads them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Sampler
from typing_extensions import override

from lightning_pose.errors import ConfigError

__all__ = [
    "Buckets",
    "InOrder",
    "PersonBatchSampler",
    "Plan",
    "Shuffled",
    "Weighted",
]


class Plan(ABC):
    """Which people form the batches of an epoch, as a function of (seed, epoch) alone.

    Every epoch has the same number of batches, and every batch but the last is full. A person may
    be drawn more than once in an epoch; the draw, counted from 0, gives a different augmentation
    each time.

    Args:
        num_people: People per epoch, counting each draw.
        batch_size: People per batch, over all processes.
        drop_last: Leave some people out of an epoch so that every batch is full.

    Raises:
        ConfigError: The batch size is not positive.
    """

    def __init__(self, num_people: int, batch_size: int, drop_last: bool = False) -> None:
        if batch_size < 1:
            raise ConfigError(
                f"Expected a batch_size of 1 or more, found {batch_size}; 32 is usual."
            )
        self.num_people = num_people - num_people % batch_size if drop_last else num_people
        self.batch_size = batch_size

    @property
    def num_batches(self) -> int:
        """Batches per epoch, the same for every epoch."""
        return -(-self.num_people // self.batch_size)

    @abstractmethod
    def batches(self, epoch: int) -> list[Int64[np.ndarray, "B 2"]]:
        """The batches of an epoch.

        Args:
            epoch: The epoch, from 0.

        Returns:
            (index, draw) of the people in each batch.
        """

    def _cut(
        self, order: Int64[np.ndarray, " N"], draws: Int64[np.ndarray, " N"] | None = None
    ) -> list[Int64[np.ndarray, "B 2"]]:
        """Cut an order into batches; without draws, everyone occurs once."""
        people = np.stack((order, np.zeros_like(order) if draws is None else draws), axis=1)
        starts = range(0, self.num_people, self.batch_size)
        return [people[start : start + self.batch_size] for start in starts]


class InOrder(Plan):
    """Everyone once, in the order of the dataset, the same in every epoch."""

    @override
    def batches(self, epoch: int) -> list[Int64[np.ndarray, "B 2"]]:
        return self._cut(np.arange(self.num_people))


class Shuffled(Plan):
    """Everyone once, in a new order in each epoch.

    Args:
        num_people: People in the dataset.
        batch_size: People per batch, over all processes.
        seed: Seed for the order.
        drop_last: Leave some people out of an epoch so that every batch is full.

    Example:
        >>> plan = Shuffled(5, batch_size=2, seed=0)
        >>> [batch[:, 0].tolist() for batch in plan.batches(epoch=0)]
        [[2, 4], [3, 0], [1]]
    """

    def __init__(
        self, num_people: int, batch_size: int, seed: int, drop_last: bool = False
    ) -> None:
        super().__init__(num_people, batch_size, drop_last)
        self.seed = seed
        self._everyone = num_people

    @override
    def batches(self, epoch: int) -> list[Int64[np.ndarray, "B 2"]]:
        # Shuffled before it is cut, so that different people are left out in each epoch.
        order = np.arange(self._everyone)
        np.random.default_rng([self.seed, epoch]).shuffle(order)
        return self._cut(order)


class Weighted(Plan):
    """Draws a fixed share of every epoch from each of several sets.

    In an epoch, the people of a set are drawn equally often, or some of them once more; who that is
    changes from epoch to epoch.

    Args:
        counts: People in each set; their indices follow each other.
        weights: The share of each set, in any unit.
        num_people: People per epoch, counting each draw.
        batch_size: People per batch, over all processes.
        seed: Seed for the order.
        drop_last: Leave some people out of an epoch so that every batch is full.

    Raises:
        ConfigError: A set with a weight above 0 has no share of an epoch.

    Example:
        >>> plan = Weighted([2, 10], [3.0, 1.0], num_people=8, batch_size=4, seed=0)
        >>> [batch.tolist() for batch in plan.batches(epoch=0)]
        [[[1, 1], [0, 1], [0, 0], [8, 0]], [[0, 2], [6, 0], [1, 2], [1, 0]]]
    """

    def __init__(
        self,
        counts: Sequence[int],
        weights: Sequence[float],
        num_people: int,
        batch_size: int,
        seed: int,
        drop_last: bool = False,
    ) -> None:
        super().__init__(num_people, batch_size, drop_last)
        self.seed = seed
        edges = np.rint(np.cumsum([0.0, *weights]) / sum(weights) * num_people).astype(int)
        self._counts, self._shares = list(counts), np.diff(edges).tolist()
        for weight, share, count in zip(weights, self._shares, counts, strict=True):
            if weight > 0 and not (share and count):
                raise ConfigError(
                    "Expected at least one person, and one per epoch, for every weight above 0, "
                    f"found {share} of {num_people} per epoch from {count} people for the weight "
                    f"{weight}; raise it, or set it to 0 to leave this set out."
                )

    @override
    def batches(self, epoch: int) -> list[Int64[np.ndarray, "B 2"]]:
        rng = np.random.default_rng([self.seed, epoch])
        people, start = [np.empty((0, 2), dtype=np.int64)], 0
        for count, share in zip(self._counts, self._shares, strict=True):
            for draw, done in enumerate(range(0, share, max(1, count))):
                order = start + rng.permutation(count)[: share - done]
                people.append(np.stack((order, np.full_like(order, draw)), axis=1))
            start += count
        everyone = np.concatenate(people)
        # Shuffled before it is cut, so that different people are left out in each epoch.
        rng.shuffle(everyone)
        return self._cut(*everyone.T)


class Buckets(Plan):
    """Everyone once, with people of the same input size in one batch wherever they fill it.

    The remaining people of each size share batches with people of the most similar aspect ratio,
    and the images are padded.

    Args:
        sizes: Height and width of each person's input in pixels.
        batch_size: People per batch, over all processes.
        seed: Seed for the order of people and batches; None keeps them in the order of the dataset.
        drop_last: Leave some people, drawn at random, out of an epoch so that every batch is full.

    Example:
        >>> sizes = np.array([[64, 64], [96, 64], [64, 64], [64, 80], [96, 64]])
        >>> [batch[:, 0].tolist() for batch in Buckets(sizes, 2, seed=None).batches(epoch=0)]
        [[0, 2], [1, 4], [3]]
    """

    def __init__(
        self,
        sizes: Int64[np.ndarray, "N 2"],
        batch_size: int,
        seed: int | None,
        drop_last: bool = False,
    ) -> None:
        super().__init__(len(sizes), batch_size, drop_last)
        self.seed = seed
        unique, kind = np.unique(sizes, axis=0, return_inverse=True)
        # Each person's size as a rank from the widest to the tallest.
        rank = np.empty(len(unique), dtype=np.int64)
        rank[np.lexsort((unique[:, 0], unique[:, 0] / unique[:, 1]))] = np.arange(len(unique))
        self._rank = rank[kind.reshape(-1)]

    @override
    def batches(self, epoch: int) -> list[Int64[np.ndarray, "B 2"]]:
        order = np.arange(len(self._rank))
        rng = None if self.seed is None else np.random.default_rng([self.seed, epoch])
        if rng is not None:
            rng.shuffle(order)
        # Cut before sorting, so that who is left out does not depend on the size.
        order = order[: self.num_people]
        order = order[np.argsort(self._rank[order], kind="stable")]
        _, starts, counts = np.unique(self._rank[order], return_index=True, return_counts=True)
        place = np.arange(len(order)) - np.repeat(starts, counts)
        fills = place < np.repeat(counts - counts % self.batch_size, counts)
        batches = self._cut(np.concatenate((order[fills], order[~fills])))
        if rng is not None and batches:
            # The last batch stays last: it may not be full.
            moved = [*rng.permutation(len(batches) - 1).tolist(), len(batches) - 1]
            batches = [batches[number] for number in moved]
        return batches


class PersonBatchSampler(Sampler[list[tuple[int, int, int]]]):
    """Yields batches of (epoch, index, draw) according to a plan.

    Each batch is split among the processes, so that together they see the same people at each step
    as a single process would. If a batch has too few people for all processes, some processes get
    none; nobody is duplicated. Each iteration is one epoch, and the next iteration starts the next
    epoch, even if this one was abandoned half-way.

    Args:
        plan: Which people form the batches.
        rank: Which process this is, from 0.
        world_size: Number of processes.
        position: Batches consumed since the start of training, the sampler's only state.

    Raises:
        ConfigError: The batch cannot be split evenly among the processes.

    Example:
        >>> sampler = PersonBatchSampler(InOrder(5, batch_size=2))
        >>> list(sampler)
        [[(0, 0, 0), (0, 1, 0)], [(0, 2, 0), (0, 3, 0)], [(0, 4, 0)]]
        >>> sampler.position
        3
    """

    def __init__(self, plan: Plan, rank: int = 0, world_size: int = 1, position: int = 0) -> None:
        if plan.batch_size % world_size:
            raise ConfigError(
                f"Expected a batch_size that {world_size} processes can share evenly, found "
                f"{plan.batch_size}; it counts the people of all processes together."
            )
        self.plan = plan
        self.rank = rank
        self.world_size = world_size
        self.position = position

    def __len__(self) -> int:
        """Batches in a whole epoch for this process."""
        full, rest = divmod(self.plan.num_people, self.plan.batch_size)
        return full + (rest > self.rank)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        """Iterate over the rest of the epoch that contains `position`."""
        epoch, start = divmod(self.position, len(self))
        self.position = (epoch + 1) * len(self)
        for batch in self.plan.batches(epoch)[start : len(self)]:
            share = batch[self.rank :: self.world_size].tolist()
            yield [(epoch, index, draw) for index, draw in share]
