"""What is in use is told from what was freed."""

import platform
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import fit_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
@pytest.mark.parametrize("blocks", [(1, 50 * 2**20), (5000, 10 * 2**10)])
def test_in_use_is_what_was_not_freed(blocks):
    count, size = blocks
    before = fit_memory.in_use()
    tensors = [torch.empty(size, dtype=torch.uint8) for _ in range(count)]
    assert fit_memory.in_use() - before == pytest.approx(count * size / 2**20, rel=0.1)
    del tensors
    assert fit_memory.in_use() == pytest.approx(before, abs=2)


def test_growth_is_told_in_mib_and_as_a_share():
    assert fit_memory.growth(200, 205) == "200.0 to 205.0 MiB, +5.0 (+2.5%)"
    assert fit_memory.growth(200, 199) == "200.0 to 199.0 MiB, -1.0 (-0.5%)"
