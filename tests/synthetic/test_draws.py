from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_pose.synthetic.draws import Draws

MANY = 4000


@given(st.integers(0, 2**64 - 1))
def test_the_stream_depends_on_its_seed_alone(seed: int) -> None:
    one, other = Draws(seed), Draws(seed)
    assert [one.uniform() for _ in range(300)] == [other.uniform() for _ in range(300)]
    assert Draws(seed).uniform() != Draws((seed + 1) % 2**64).uniform()


def test_every_draw_has_the_distribution_that_it_names() -> None:
    draws = Draws(0)
    uniform = np.array([draws.uniform(2.0, 4.0) for _ in range(MANY)])
    assert 2 <= uniform.min() < 2.01 < 3.99 < uniform.max() <= 4
    assert uniform.mean() == pytest.approx(3, abs=0.05)
    bell = np.array([draws.bell(5.0) for _ in range(MANY)])
    assert bell.mean() == pytest.approx(0, abs=0.4)
    assert bell.std() == pytest.approx(5, abs=0.3)
    assert abs(bell).max() <= 15
    assert np.mean([draws.chance(0.3) for _ in range(MANY)]) == pytest.approx(0.3, abs=0.03)
    integers = [draws.integer(3, 5) for _ in range(MANY)]
    assert np.bincount(integers)[3:] == pytest.approx([MANY / 3] * 3, rel=0.15)
    assert {draws.sign() for _ in range(50)} == {-1.0, 1.0}
    picks = [draws.pick("abc") for _ in range(MANY)]
    assert [picks.count(letter) for letter in "abc"] == pytest.approx([MANY / 3] * 3, rel=0.15)


def test_no_number_is_lost_between_blocks() -> None:
    generator = np.random.Generator(np.random.Philox(key=9))
    expected = np.concatenate([generator.random(256) for _ in range(3)])
    draws = Draws(9)
    found = list(islice(iter(draws.uniform, None), 700))
    assert found == expected[:700].tolist()
