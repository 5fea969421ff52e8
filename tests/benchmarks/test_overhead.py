"""The blocks that alternate, and the interval of their median."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import overhead


class Clock:
    """A clock that only advances when it is told to."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(overhead, "time", clock)
    return clock


def test_both_ways_take_turns_and_everything_between_steps_counts(clock):
    trained = []

    def step(batch):
        trained.append(batch)
        clock.now += 2.0

    watch = overhead.Alternation(["one", "two", "three"])
    watch.bare, watch.left = SimpleNamespace(step=step), iter(watch.batches)
    for number in range(3):
        watch.on_train_batch_start(None, None, None, number)
        clock.now += 2.5  # A step of `fit`, and what follows on it.
    # The last step has not ended.
    assert watch.seconds == [(2.5, 2.0)] * 2
    assert trained == watch.batches


def test_blocks_are_whole_and_the_first_warms_up():
    seconds = [(9.0, 9.0)] * 2 + [(3.0, 2.0), (1.0, 2.0), (5.0, 1.0), (6.0, 3.0), (7.0, 7.0)]
    assert overhead.by_blocks(seconds, 2) == [(4.0, 4.0), (11.0, 4.0)]
    assert overhead.by_blocks(seconds, 1)[-1] == (7.0, 7.0)


def test_an_epoch_is_its_steps_and_its_validation(clock):
    watch = overhead.EpochClock()
    for sanity, validation in ((True, 50.0), (False, 3.0), (False, 1.0)):
        watch.on_train_epoch_start()
        for _ in range(4):
            clock.now += 5.0
            watch.on_train_batch_end()
        clock.now += validation
        watch.on_validation_end(SimpleNamespace(sanity_checking=sanity), None)
    assert watch.seconds == [(20.0, 3.0), (20.0, 1.0)]


@pytest.mark.parametrize("count", [6, 30, 41])
def test_the_interval_contains_the_median_as_often_as_it_says(count):
    values = np.random.default_rng(0).lognormal(size=(200, count))
    found = [overhead.median_interval(list(row)) for row in values]
    assert all(one.low <= one.median <= one.high for one in found)
    # Of a log-normal distribution, the median is 1.
    covered = sum(one.low <= 1 <= one.high for one in found)
    assert covered > scipy.stats.binom.ppf(0.001, 200, 0.95)


def test_too_few_blocks_have_no_interval():
    found = overhead.median_interval([1.0, 3.0, 2.0])
    assert found.median == 2
    assert np.isnan(found.low)
    assert np.isnan(found.high)
