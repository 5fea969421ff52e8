"""The loops that our codecs are compared with in speed give the same results."""

import sys

import numpy as np
import pytest
import torch

from benchmarks import codecs


@pytest.mark.parametrize("side", [32, 48])
def test_both_ways_agree(side):
    timed, compared = codecs.make_pairs(people=3, joints=5, side=side)
    codecs.check(compared)
    assert [pair.name for pair in timed] == [pair.name for pair in compared]
    for pair in timed:
        assert pair.loop().shape == tuple(pair.ours().shape)


def test_a_target_ends_at_three_sigma_and_at_the_edge_of_the_map():
    points = np.array([[[0.0, 0.0], [40.0, 60.0], [-400.0, 0.0]]], dtype=np.float32)
    maps = codecs.loop_encode(points, 24)
    assert maps[0, 0, 0, 0] == maps[0, 1, 15, 10] == 1
    rows, columns = np.nonzero(maps[0, 1])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (9, 21, 4, 16)
    assert maps[0, 0, 6, 6] > 0
    assert not maps[0, 0, 7:].any()
    assert not maps[0, 2].any()


def test_what_does_not_agree_is_not_timed():
    pair = codecs.Pair("both", lambda: np.zeros(2), lambda: torch.tensor([0.0, 0.2]), 0.1)
    with pytest.raises(AssertionError, match=r"both: both ways differ by 0\.2"):
        codecs.check([pair])
    pair.ours = lambda: torch.tensor([0.0, torch.nan])
    with pytest.raises(AssertionError, match="differ by nan"):
        codecs.check([pair])


def test_it_prints_a_row_for_each_codec(monkeypatch, capsys):
    small = ["--people", "8", "--joints", "9", "--side", "40", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", ["codecs.py", *small])
    codecs.main()
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[:20].strip() for row in rows] == ["Gaussian targets", "quarter offset", "DARK"]
    assert all(float(number) > 0 for row in rows for number in row[20:].split())
