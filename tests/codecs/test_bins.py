import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_pose.codecs.bins import decode_bins, encode_bins


@settings(max_examples=50, deadline=None)
@given(count=st.integers(2, 60), place=st.floats(-0.2, 1.2), sigma=st.floats(0.3, 8))
def test_targets_are_those_of_the_formula(count, place, sigma):
    position = place * (count - 1)
    heights = np.array([np.exp(-((b - position) ** 2) / (2 * sigma**2)) for b in range(count)])
    found = encode_bins(torch.tensor([[position]]), count, sigma)[0, 0]
    assert found.sum() == pytest.approx(1, abs=1e-5)
    if heights.sum() > 1e-30:
        np.testing.assert_allclose(found, heights / heights.sum(), atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(place=st.floats(0, 1), sigma=st.floats(0.7, 6))
def test_decoding_undoes_encoding(place, sigma):
    margin = 4 * sigma
    position = margin + place * 20
    probability = encode_bins(torch.tensor([[position]]), round(2 * margin + 21), sigma)
    largest, score = decode_bins(probability, sigma, "argmax")
    assert abs(float(largest) - position) <= 0.5 + 1e-4
    assert largest == largest.round()
    assert float(score) > 0.75
    mean, same = decode_bins(probability, sigma, "expectation")
    assert float(mean) == pytest.approx(position, abs=0.01)
    assert torch.equal(same, score)


def test_a_flat_distribution_has_a_low_score():
    _, score = decode_bins(torch.full((1, 1, 100), 0.01), 2.0, "argmax")
    assert float(score) < 0.1
