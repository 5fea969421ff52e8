"""A user-defined plan: a weighted mix of two sets, with people drawn with replacement."""

import numpy as np
import pytest

from lightning_pose.datamodules.loaders import CropDataset, make_loader
from lightning_pose.datamodules.samplers import PersonBatchSampler, Plan
from lightning_pose.datasets import LSPExtendedDataset, PoseDataset, SyntheticDataset
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import Annotation, Pixels
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop
from tests.data.lspet import write_lspet


class Both(PoseDataset):
    """The people of one set, then those of another."""

    def __init__(self, first: PoseDataset, second: PoseDataset) -> None:
        self.parts = (first, second)
        self.skeleton, self.labels = first.skeleton, first.labels
        self.person_ids = np.concatenate((first.person_ids, second.person_ids))

    def _find(self, index: int) -> tuple[PoseDataset, int]:
        first, second = self.parts
        return (first, index) if index < len(first) else (second, index - len(first))

    def annotation(self, index: int) -> Annotation:
        people, place = self._find(index)
        return people.annotation(place)

    def image_size(self, index: int) -> tuple[int, int]:
        people, place = self._find(index)
        return people.image_size(place)

    def read(self, index: int, shrink: int = 1) -> Pixels:
        people, place = self._find(index)
        return people.read(place, shrink)


class WeightedMix(Plan):
    """Chooses one of two sets with a probability, and then draws any person of that set."""

    def __init__(self, lengths: tuple[int, int], weights: tuple[float, float], seed: int) -> None:
        super().__init__(num_people=24, batch_size=4)
        self.lengths, self.weights, self.seed = lengths, weights, seed

    def batches(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        second = rng.random(self.num_people) < self.weights[1] / sum(self.weights)
        low = np.where(second, self.lengths[0], 0)
        index = rng.integers(low, low + np.where(second, self.lengths[1], self.lengths[0]))
        # How often each person was drawn earlier.
        draws = [int((index[:place] == person).sum()) for place, person in enumerate(index)]
        return np.split(np.stack((index, draws), axis=1), self.num_batches)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Both:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=6)
    return Both(LSPExtendedDataset(root, 1, 6), SyntheticDataset("train", length=100, size=64))


def mixed(
    both: Both, workers: int, rank: int = 0, world_size: int = 1
) -> dict[tuple[int, int, int], tuple[bytes, bytes]]:
    """Crop matrix and pixels of everyone in two epochs, by (epoch, person, draw)."""
    plan = WeightedMix((6, 100), (1.0, 1.0), seed=0)
    crop = PersonCrop(InputSpec((32, 32)), LSP14, rotation=40.0, scale=0.3, flip=0.5)
    ahead = PersonBatchSampler(plan, rank, world_size)
    keys = [person for _ in range(2) for batch in ahead for person in batch]
    sampler = PersonBatchSampler(plan, rank, world_size)
    loader = make_loader(CropDataset(both, crop, seed=5), sampler, workers, on_gpu=False)
    seen = {}
    names = iter(keys)
    for batch in (batch for _ in range(2) for batch in loader):
        for person, matrix, image in zip(batch.person_id, batch.crop, batch.image, strict=True):
            epoch, index, draw = next(names)
            assert both.person_ids[index] == person
            seen[epoch, index, draw] = (matrix.numpy().tobytes(), image.numpy().tobytes())
    assert next(names, None) is None
    return seen


def test_a_weighted_mix_is_a_plan_like_any_other(both: Both) -> None:
    seen = mixed(both, workers=0)
    assert len(seen) == 48
    # Half of the draws, although only 6 of 106 people.
    assert 12 <= sum(index < 6 for _, index, _ in seen) <= 36
    doubles = [key for key in seen if key[2] > 0 and key[1] < 6]
    assert len(doubles) > 5
    for epoch, index, draw in doubles:
        assert seen[epoch, index, draw][0] != seen[epoch, index, draw - 1][0]


@pytest.mark.parametrize(("workers", "world_size"), [(2, 1), (0, 2), (1, 4)])
def test_a_weighted_mix_does_not_depend_on_workers_and_processes(
    both: Both, workers: int, world_size: int
) -> None:
    shares = [mixed(both, workers, rank, world_size) for rank in range(world_size)]
    together = {key: value for share in shares for key, value in share.items()}
    assert sum(len(share) for share in shares) == len(together)
    assert together == mixed(both, workers=0)
