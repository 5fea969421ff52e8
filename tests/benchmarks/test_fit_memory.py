"""Growth over epochs is seen, and a single large epoch is not growth."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import fit_memory


def test_growth_is_that_of_the_second_half():
    assert fit_memory.growth([1, 50, 90, 95, 100, 100, 100, 100]) == 0
    assert fit_memory.growth([10, 10, 10, 10, 12, 14, 16, 18]) == pytest.approx(2)
    assert fit_memory.growth([10, 10, 10, 10, 10, 10, 99, 10, 10, 10, 10, 10]) == 0
