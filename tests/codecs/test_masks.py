import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_pose.codecs.masks import decode_mask, encode_mask, known_cells

sides = st.integers(1, 13)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(sides, sides),
    stride=st.sampled_from([1, 2, 4]),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 99),
)
def test_cells_are_counted_pixel_by_pixel(size, stride, shape, seed):
    rng = np.random.default_rng(seed)
    mask = rng.integers(-1, 2, (2, *size)).astype(np.int8)
    valid = rng.random((2, *size)) < 0.6
    value, weight = encode_mask(torch.from_numpy(mask), torch.from_numpy(valid), stride, shape)
    known = known_cells(torch.from_numpy(valid), stride, shape)
    for person, row, column in np.ndindex(2, *shape):
        cell = np.s_[
            person, row * stride : (row + 1) * stride, column * stride : (column + 1) * stride
        ]
        pixels = mask[cell][valid[cell] & (mask[cell] >= 0)]
        assert known[person, row, column] == valid[cell].any()
        assert weight[person, row, column] == pytest.approx(pixels.size / stride**2)
        fraction = pixels.mean() if pixels.size else 0
        assert value[person, row, column] == pytest.approx(fraction)


@pytest.mark.parametrize("size", [(16, 24), (13, 22), (18, 25)])
def test_a_decoded_mask_has_the_size_of_the_picture(size):
    grid = torch.rand(2, 4, 6)
    mask = decode_mask(grid, 4, size)
    assert mask.shape == (2, *size)
    # Half way between the centres of two cells lies their mean.
    torch.testing.assert_close(mask[:, 3:5, 3:5].mean(dim=(1, 2)), grid[:, :2, :2].mean(dim=(1, 2)))


def test_a_smooth_mask_survives_the_grid():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    mask = ((rows - 30).square() + (columns - 22).square() < 18**2).to(torch.int8)[None]
    value, _ = encode_mask(mask, torch.ones_like(mask).bool(), 4, (16, 12))
    again = decode_mask(value, 4, (64, 48)) > 0.5
    assert (again == (mask == 1)).float().mean() > 0.99
