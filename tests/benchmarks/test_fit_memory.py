"""What is in use is told from what was freed."""

import platform
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import fit_memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")


@pytest.mark.parametrize("blocks", [(1, 50 * 2**20), (5000, 10 * 2**10)])
def test_tensors_are_in_use_until_they_are_freed(blocks):
    count, size = blocks
    before, _ = fit_memory.in_use()
    tensors = [torch.empty(size, dtype=torch.uint8) for _ in range(count)]
    assert fit_memory.in_use()[0] - before == pytest.approx(count * size / 2**20, rel=0.1)
    del tensors
    assert fit_memory.in_use()[0] == pytest.approx(before, abs=2)


def test_small_objects_are_in_use_until_they_are_freed():
    _, before = fit_memory.in_use()
    chart = [{"axes": number} for number in range(10_000)]
    for one in chart:
        one["chart"] = chart  # They refer to each other.
    assert fit_memory.in_use()[1] - before >= 10_000
    del chart, one
    assert fit_memory.in_use()[1] == pytest.approx(before, abs=1000)


def test_growth_is_told_in_its_unit_and_as_a_share():
    assert fit_memory.growth(200.0, 205.0, "MiB") == "200.0 to 205.0 MiB, +5.0 (+2.5%)"
    assert fit_memory.growth(200, 199, "blocks") == "200 to 199 blocks, -1 (-0.5%)"
