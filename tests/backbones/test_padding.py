"""Images of odd sizes, and where the cells of their maps lie."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lightning_pose.backbones.padding import cut_map, pad_image

sides = st.integers(1, 70)


@settings(deadline=None, max_examples=50)
@given(height=sides, width=sides, multiple=st.sampled_from([1, 8, 32]))
def test_padding_adds_zeros_at_the_right_and_below(height: int, width: int, multiple: int) -> None:
    picture = torch.ones(1, 3, height, width)
    padded = pad_image(picture, multiple)
    assert all(side % multiple == 0 for side in padded.shape[-2:])
    assert padded.shape[2] - height < multiple
    assert padded.shape[3] - width < multiple
    assert torch.equal(padded[..., :height, :width], picture)
    assert padded.sum() == picture.sum()


@settings(deadline=None, max_examples=50)
@given(height=sides, width=sides, stride=st.sampled_from([1, 2, 8, 32]))
def test_the_cells_that_the_picture_touches_are_kept(height: int, width: int, stride: int) -> None:
    padded = pad_image(torch.ones(1, 3, height, width), 32)
    touched = cut_map(F.max_pool2d(padded, stride), padded, (height, width))
    assert (touched == 1).all()
    assert touched.sum() == F.max_pool2d(padded, stride).sum()


@pytest.mark.parametrize("size", [(32, 64)])
def test_a_picture_that_fits_is_not_copied(size: tuple[int, int]) -> None:
    picture = torch.ones(1, 3, *size)
    assert pad_image(picture, 32) is picture
