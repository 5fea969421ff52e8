import numpy as np
import pytest

from lightning_pose.batch import Example
from lightning_pose.datamodules.samplers import CropDataset, PersonBatchSampler
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import InputError
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop, Photometric
from tests.data.lspet import write_lspet


def epochs(sampler: PersonBatchSampler, count: int) -> list[list[list[tuple[int, int]]]]:
    return [list(sampler) for _ in range(count)]


def test_an_epoch_has_everyone_once_and_every_epoch_another_order() -> None:
    first, second = epochs(PersonBatchSampler(23, batch_size=4), 2)
    assert [len(batch) for batch in first] == [4, 4, 4, 4, 4, 3]
    for epoch, batches in enumerate((first, second)):
        assert sorted(pair for batch in batches for pair in batch) == [
            (epoch, i) for i in range(23)
        ]
    order = [[index for batch in batches for _, index in batch] for batches in (first, second)]
    assert order[0] != order[1]
    assert order[0] != sorted(order[0])


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    again = PersonBatchSampler(23, batch_size=4, seed=3)
    assert epochs(PersonBatchSampler(23, batch_size=4, seed=3), 3) == epochs(again, 3)
    assert epochs(PersonBatchSampler(23, batch_size=4, seed=4), 1) != epochs(
        PersonBatchSampler(23, batch_size=4, seed=3), 1
    )
    # Also on nothing that other code draws.
    np.random.default_rng(0).random()
    other_size = PersonBatchSampler(23, batch_size=6, seed=3)
    people = [pair for batch in other_size for pair in batch]
    assert people == [p for b in PersonBatchSampler(23, batch_size=4, seed=3) for p in b]


def test_drop_last_leaves_out_what_does_not_fill_a_batch() -> None:
    sampler = PersonBatchSampler(23, batch_size=4, drop_last=True)
    assert [len(batch) for batch in sampler] == [4] * 5
    assert len(sampler) == 5


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_people", [4, 8, 21, 23, 24])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_each_batch_without_doubles(
    num_people: int, world_size: int, drop_last: bool
) -> None:
    whole = PersonBatchSampler(num_people, batch_size=4, seed=1, drop_last=drop_last)
    parts = [
        PersonBatchSampler(
            num_people, 4, seed=1, drop_last=drop_last, rank=rank, world_size=world_size
        )
        for rank in range(world_size)
    ]
    for _ in range(2):
        batches = list(whole)
        shares = [list(part) for part in parts]
        assert [len(part) for part in parts] == [len(share) for share in shares]
        assert all(batch for share in shares for batch in share)
        for number, batch in enumerate(batches):
            together = [
                pair for share in shares for pair in (share[number : number + 1] or [[]])[0]
            ]
            assert sorted(together) == sorted(batch)
        if drop_last:
            assert len({len(share) for share in shares}) == 1


@pytest.mark.parametrize("position", range(13))
def test_it_goes_on_from_any_position(position: int) -> None:
    uninterrupted = [b for e in epochs(PersonBatchSampler(23, 4, seed=2), 4) for b in e]
    resumed = PersonBatchSampler(23, 4, seed=2, position=position)
    rest = list(resumed)
    assert len(rest) == 6 - position % 6
    assert len(resumed) == 6
    rest += list(resumed)
    assert rest == uninterrupted[position : position + len(rest)]


def test_an_epoch_left_half_way_is_followed_by_the_next() -> None:
    sampler = PersonBatchSampler(23, 4, seed=2)
    batches = iter(sampler)
    next(batches)
    assert next(iter(sampler))[0][0] == 1
    assert next(iter(sampler))[0][0] == 2


def test_an_iterator_that_is_never_asked_is_no_epoch() -> None:
    sampler = PersonBatchSampler(23, 4, seed=2)
    iter(sampler)
    assert next(iter(sampler))[0][0] == 0


@pytest.mark.parametrize(("batch_size", "world_size"), [(0, 1), (5, 2), (2, 4)])
def test_a_batch_that_cannot_be_shared_is_refused(batch_size: int, world_size: int) -> None:
    with pytest.raises(InputError, match=f"{world_size} processes.*found {batch_size}"):
        PersonBatchSampler(20, batch_size, world_size=world_size)


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> LSPExtendedDataset:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=6)
    return LSPExtendedDataset(root, 1, 6)


def crops(people: LSPExtendedDataset, seed: int = 0) -> CropDataset:
    import albumentations as A

    crop = PersonCrop((32, 32), LSP14, rotation=40.0, scale=0.3, flip=0.5)
    return CropDataset(people, crop, Photometric([A.RandomBrightnessContrast(p=1.0)]), seed)


def same(one: Example, other: Example) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.crop, other.crop)


def test_augmentation_depends_on_seed_epoch_and_person_alone(people) -> None:
    keys = [(epoch, index) for epoch in range(2) for index in range(6)]
    dataset = crops(people)
    forward = {key: dataset[key] for key in keys}
    shuffled = crops(people)
    for key in reversed(keys):
        assert same(forward[key], shuffled[key])
    assert not same(forward[0, 1], forward[1, 1])
    assert not same(forward[0, 1], crops(people, seed=1)[0, 1])
    # The person counts, not its place in this split.
    later = LSPExtendedDataset(people.root, 3, 6)
    assert same(forward[1, 4], crops(later)[1, 2])
