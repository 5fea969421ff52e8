import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lightning_pose.datamodules.samplers import (
    Buckets,
    InOrder,
    PersonBatchSampler,
    Plan,
    Shuffled,
    Weighted,
)
from lightning_pose.errors import ConfigError

Person = tuple[int, int, int]

SIZES = np.random.default_rng(0).choice([32, 48, 64], size=(24, 2))


def plans(num_people: int, batch_size: int, drop_last: bool, seed: int = 1) -> list[Plan]:
    # As many as there are, from two sets of which the second may be empty.
    counts = [1, num_people - 1]
    return [
        InOrder(num_people, batch_size, drop_last),
        Shuffled(num_people, batch_size, seed, drop_last),
        Buckets(SIZES[:num_people], batch_size, seed, drop_last),
        Buckets(SIZES[:num_people], batch_size, None, drop_last),
        Weighted(counts, [float(n) for n in counts], num_people, batch_size, seed, drop_last),
    ]


def epochs(sampler: PersonBatchSampler, count: int) -> list[list[list[Person]]]:
    return [list(sampler) for _ in range(count)]


def people_of(batches: list[np.ndarray]) -> list[int]:
    return [index for batch in batches for index in batch[:, 0].tolist()]


# Properties of every plan


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_people", [1, 4, 21, 24])
@pytest.mark.parametrize("kind", range(5))
def test_an_epoch_has_everyone_once_in_full_batches(
    kind: int, num_people: int, drop_last: bool
) -> None:
    plan = plans(num_people, 4, drop_last)[kind]
    for epoch in range(3):
        batches = plan.batches(epoch)
        assert plan.num_batches == len(batches)
        assert all(len(batch) == 4 for batch in batches[:-1])
        people = people_of(batches)
        assert len(people) == len(set(people)) == plan.num_people
        assert plan.num_people == (num_people - num_people % 4 if drop_last else num_people)
        assert set(people) <= set(range(num_people))
        assert not any(batch[:, 1].any() for batch in batches)


@pytest.mark.parametrize("kind", [1, 2, 4])
def test_the_order_depends_on_seed_and_epoch_alone(kind: int) -> None:
    def orders(seed: int) -> list[list[int]]:
        plan = plans(24, 4, False, seed)[kind]
        return [people_of(plan.batches(epoch)) for epoch in (2, 0, 1)]

    first = orders(3)
    np.random.default_rng(0).random()  # Nor on random numbers that other code draws.
    assert orders(3) == first
    assert orders(4) != first
    assert len({tuple(order) for order in first}) == 3
    assert sorted(first[0]) != first[0]


@pytest.mark.parametrize("kind", [1, 2, 4])
def test_who_is_left_out_changes_from_epoch_to_epoch(kind: int) -> None:
    plan = plans(23, 6, True)[kind]
    missing = [set(range(23)) - set(people_of(plan.batches(epoch))) for epoch in range(40)]
    assert {len(people) for people in missing} == {5}
    assert set.union(*missing) == set(range(23))


@pytest.mark.parametrize("kind", range(5))
def test_a_batch_without_people_is_refused(kind: int) -> None:
    with pytest.raises(ConfigError, match="batch_size of 1 or more, found 0"):
        plans(20, 0, False)[kind]


# Properties of single plans


def test_in_order_is_in_order() -> None:
    assert people_of(InOrder(23, 4).batches(5)) == list(range(23))


def test_the_shuffled_order_is_that_of_numpy_whatever_the_batch_size() -> None:
    for epoch in range(3):
        order = np.arange(23)
        np.random.default_rng([7, epoch]).shuffle(order)
        for batch_size in (4, 6):
            assert people_of(Shuffled(23, batch_size, seed=7).batches(epoch)) == order.tolist()


def padding(sizes: np.ndarray, batches: list[np.ndarray]) -> list[int]:
    """The number of padded pixels in each batch."""
    inputs = [sizes[batch[:, 0]] for batch in batches]
    return [int(size.max(axis=0).prod() * len(size) - size.prod(axis=1).sum()) for size in inputs]


@given(
    st.lists(st.sampled_from([(32, 32), (32, 48), (48, 32), (96, 32), (32, 96)]), min_size=1),
    st.integers(1, 5),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
)
def test_people_of_one_size_share_a_batch_wherever_they_fill_one(
    pairs: list[tuple[int, int]], batch_size: int, seed: int | None, drop_last: bool
) -> None:
    sizes = np.array(pairs)
    plan = Buckets(sizes, batch_size, seed, drop_last)
    for epoch in range(2):
        batches = plan.batches(epoch)
        people = people_of(batches)
        assert len(people) == len(set(people)) == plan.num_people
        assert all(len(batch) == batch_size for batch in batches[:-1])
        uniform = sum(len(np.unique(sizes[batch[:, 0]], axis=0)) == 1 for batch in batches)
        _, counts = np.unique(sizes[people], axis=0, return_counts=True)
        assert uniform >= (counts // batch_size).sum()
    # A plan without a seed is the same in every epoch.
    if seed is None:
        both = zip(plan.batches(0), plan.batches(1), strict=True)
        assert all(np.array_equal(a, b) for a, b in both)


def test_who_is_left_of_a_size_joins_the_most_similar_ones() -> None:
    # From wide to tall, two of each: batches of 4 join neighbours.
    kinds = [[32, 128], [32, 64], [32, 32], [64, 32], [96, 32], [128, 32]]
    batches = Buckets(np.repeat(kinds, 2, axis=0), 4, seed=0).batches(0)
    found = sorted(sorted(batch[:, 0].tolist()) for batch in batches)
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    many = np.random.default_rng(3).choice([32, 48, 64, 80], size=(400, 2))
    bucketed = sum(padding(many, Buckets(many, 16, seed=0).batches(0)))
    assert bucketed < 0.2 * sum(padding(many, Shuffled(400, 16, seed=0).batches(0)))


def test_the_order_of_buckets_is_shuffled_and_a_short_batch_stays_last() -> None:
    sizes = np.repeat([[32, 64], [64, 64], [64, 32]], 21, axis=0)
    plan = Buckets(sizes, 4, seed=0)
    kinds = [sizes[batch[0, 0]].tolist() for batch in plan.batches(0)]
    assert kinds != [sizes[batch[0, 0]].tolist() for batch in plan.batches(1)]
    assert kinds != sorted(kinds)
    assert [len(plan.batches(epoch)[-1]) for epoch in range(5)] == [3] * 5


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0.0, 0.5, 1.0, 3.0])), min_size=1),
    st.integers(20, 60),
    st.integers(1, 7),
)
def test_every_epoch_has_the_share_of_each_set_and_draws_its_people_equally_often(
    sets: list[tuple[int, float]], num_people: int, batch_size: int
) -> None:
    counts, weights = (list(column) for column in zip(*sets, strict=True))
    weights[0] += 1.0
    shares = np.array(weights) / sum(weights) * num_people
    assume(all(share == 0 or share > 1 for share in shares))
    plan = Weighted(counts, weights, num_people, batch_size, seed=3)
    edges = np.cumsum([0, *counts])
    for epoch in range(2):
        batches = plan.batches(epoch)
        assert all(len(batch) == batch_size for batch in batches[:-1])
        drawn = np.concatenate(batches)
        assert len(drawn) == num_people
        # Nobody has the same draw twice, as that would be the same crop twice.
        assert len(np.unique(drawn, axis=0)) == num_people
        for start, stop, share in zip(edges[:-1], edges[1:], shares, strict=True):
            part = drawn[(start <= drawn[:, 0]) & (drawn[:, 0] < stop)]
            assert abs(len(part) - share) <= 1
            times = np.bincount(part[:, 0] - start, minlength=stop - start)
            assert times.max() - times.min() <= 1
            assert part[:, 1].max(initial=0) == max(0, times.max() - 1)


def test_who_is_drawn_changes_from_epoch_to_epoch_and_sets_are_shuffled_together() -> None:
    plan = Weighted([4, 20], [1.0, 1.0], num_people=12, batch_size=6, seed=0)
    found = [np.concatenate(plan.batches(epoch))[:, 0] for epoch in range(30)]
    assert [int((order < 4).sum()) for order in found] == [6] * 30
    assert set.union(*(set(order.tolist()) for order in found)) == set(range(24))
    assert len({tuple(sorted(order)) for order in found}) == 30
    # Of the first six people of the epochs, half are of the first set.
    assert 60 < sum(int((order[:6] < 4).sum()) for order in found) < 120
    again = Weighted([4, 20], [1.0, 1.0], num_people=12, batch_size=3, seed=0)
    assert np.concatenate(again.batches(7))[:, 0].tolist() == found[7].tolist()


@pytest.mark.parametrize(
    ("counts", "weights", "found"),
    [
        ([5, 5], [1.0, 0.001], "found 0 of 10 per epoch from 5 people for the weight 0.001"),
        ([5, 0], [1.0, 1.0], "found 5 of 10 per epoch from 0 people for the weight 1.0"),
    ],
)
def test_a_set_of_which_nobody_would_be_drawn_is_refused(counts, weights, found) -> None:
    with pytest.raises(ConfigError, match=found):
        Weighted(counts, weights, num_people=10, batch_size=2, seed=0)
    weights[1] = 0.0
    plan = Weighted(counts, weights, num_people=10, batch_size=2, seed=0)
    assert sorted(people_of(plan.batches(0))) == sorted([*range(5)] * 2)


# The sampler


def test_a_person_is_named_with_its_epoch_and_draw() -> None:
    first, second = epochs(PersonBatchSampler(Shuffled(23, 4, seed=0)), 2)
    assert [len(batch) for batch in first] == [4, 4, 4, 4, 4, 3]
    for epoch, batches in enumerate((first, second)):
        named = sorted(person for batch in batches for person in batch)
        assert named == [(epoch, index, 0) for index in range(23)]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_people", [4, 8, 21, 23, 24])
@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("kind", range(5))
def test_processes_share_each_batch_without_doubles(
    kind: int, num_people: int, world_size: int, drop_last: bool
) -> None:
    plan = plans(num_people, 4, drop_last)[kind]
    whole = PersonBatchSampler(plan)
    parts = [PersonBatchSampler(plan, rank, world_size) for rank in range(world_size)]
    for _ in range(2):
        batches = list(whole)
        shares = [list(part) for part in parts]
        assert [len(part) for part in parts] == [len(share) for share in shares]
        assert all(batch for share in shares for batch in share)
        for number, batch in enumerate(batches):
            together = [
                person for share in shares for person in (share[number : number + 1] or [[]])[0]
            ]
            assert sorted(together) == sorted(batch)
        if drop_last:
            assert len({len(share) for share in shares}) == 1


@pytest.mark.parametrize("position", range(13))
@pytest.mark.parametrize("kind", range(5))
def test_it_resumes_from_any_position(kind: int, position: int) -> None:
    plan = plans(23, 4, False)[kind]
    uninterrupted = [batch for epoch in epochs(PersonBatchSampler(plan), 4) for batch in epoch]
    resumed = PersonBatchSampler(plan, position=position)
    rest = list(resumed)
    assert len(rest) == 6 - position % 6
    assert len(resumed) == 6
    rest += list(resumed)
    assert rest == uninterrupted[position : position + len(rest)]


def test_an_epoch_left_half_way_is_followed_by_the_next() -> None:
    sampler = PersonBatchSampler(Shuffled(23, 4, seed=2))
    batches = iter(sampler)
    next(batches)
    assert next(iter(sampler))[0][0] == 1
    assert next(iter(sampler))[0][0] == 2


def test_an_iterator_that_is_never_asked_is_no_epoch() -> None:
    sampler = PersonBatchSampler(Shuffled(23, 4, seed=2))
    iter(sampler)
    assert next(iter(sampler))[0][0] == 0


@pytest.mark.parametrize(("batch_size", "world_size"), [(5, 2), (2, 4)])
def test_a_batch_that_cannot_be_shared_is_refused(batch_size: int, world_size: int) -> None:
    with pytest.raises(ConfigError, match=f"{world_size} processes.*found {batch_size}"):
        PersonBatchSampler(InOrder(20, batch_size), world_size=world_size)
