import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lightning_pose.codecs.heatmaps import (
    decode_argmax,
    decode_dark,
    decode_expectation,
    decode_quarter,
    encode_gaussian,
    find_peaks,
    windows,
)


def encode_by_loops(points, shape, sigma):
    """One cell after another, following the formula."""
    maps = np.zeros((*points.shape[:2], *shape))
    for person, joint, row, column in np.ndindex(maps.shape):
        x, y = points[person, joint]
        square = (column - x) ** 2 + (row - y) ** 2
        maps[person, joint, row, column] = np.exp(-square / (2 * sigma**2))
    return maps


def dark_by_the_book(heatmap, sigma):
    """DARK on one map: blur all of it, take the logarithm, solve for the top."""
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    log = np.log(gaussian_filter(np.maximum(heatmap, 0), sigma, truncate=2.5, mode="constant"))
    gradient_y, gradient_x = (g[row, column] for g in np.gradient(log))
    curve_x = log[row, column + 1] - 2 * log[row, column] + log[row, column - 1]
    curve_y = log[row + 1, column] - 2 * log[row, column] + log[row - 1, column]
    mixed = np.gradient(np.gradient(log, axis=0), axis=1)[row, column]
    hessian = np.array([[curve_x, mixed], [mixed, curve_y]])
    return np.array([column, row]) - np.linalg.solve(hessian, [gradient_x, gradient_y])


def test_gaussians_are_those_of_the_formula():
    points = torch.rand(2, 3, 2) * 12 - 2
    expected = encode_by_loops(points.double().numpy(), (7, 9), 1.3)
    np.testing.assert_allclose(encode_gaussian(points, (7, 9), 1.3), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_dark_agrees_with_a_plain_implementation(sigma):
    rng = np.random.default_rng(0)
    points = torch.rand(1, 20, 2) * 4 + 14
    maps = encode_gaussian(points, (32, 34), sigma)
    # Skewed by a second bump, and with noise.
    maps = maps + 0.3 * encode_gaussian(points + 1.5 * sigma, (32, 34), sigma)
    maps = maps + torch.from_numpy(rng.normal(0, 0.02, maps.shape)).float()
    ours = decode_dark(maps, sigma)[0].numpy()
    book = np.stack([dark_by_the_book(heatmap, sigma) for heatmap in maps[0].double().numpy()])
    np.testing.assert_allclose(ours, book, atol=2e-3)
    assert np.abs(ours - find_peaks(maps)[0][0].numpy()).max() > 0.3


@settings(max_examples=50, deadline=None)
@given(
    sigma=st.floats(1, 3),
    shape=st.tuples(st.integers(24, 40), st.integers(24, 40)),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_decoders_return_the_point(sigma, shape, place):
    size = torch.tensor([shape[1], shape[0]], dtype=torch.float32)
    point = torch.tensor(place) * size - 0.5
    maps = encode_gaussian(point[None, None], shape, sigma)
    # A map of probabilities decodes like a map of heights.
    for scale in (1.0, 1 / float(maps.sum())):
        argmax, quarter, dark = (
            (decoded - point).abs().max()
            for decoded in (
                decode_argmax(scale * maps),
                decode_quarter(scale * maps),
                decode_dark(scale * maps, sigma),
            )
        )
        assert argmax <= 0.5 + 1e-4
        assert quarter <= 0.5 + 1e-4
        assert dark <= 0.5 + 1e-4
        inside = ((point >= 0.5) & (point <= size - 1.5)).all()
        assert not inside or quarter <= 0.25 + 1e-4
        assert not inside or dark < 0.05


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_dark_is_as_good_beside_the_edge_as_in_the_middle(sigma):
    x = torch.linspace(0.6, 22.4, 200)
    points = torch.stack((x, 23 - x), dim=-1)[None]
    error = decode_dark(encode_gaussian(points, (24, 24), sigma), sigma) - points
    assert error.abs().max() < 0.01


def test_dark_reads_one_axis_where_the_other_has_no_room():
    maps = encode_gaussian(torch.tensor([[[-0.3, 7.3]]]), (16, 16), sigma=2.0)
    torch.testing.assert_close(
        decode_dark(maps, sigma=2.0), torch.tensor([[[0.0, 7.3]]]), atol=0.01, rtol=0
    )


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_a_flat_map_decodes_to_somewhere_on_it(value):
    maps = torch.full((1, 2, 5, 7), value)
    refined = decode_dark(maps, 2.0), decode_expectation(maps, 2.0)
    for points in (decode_argmax(maps), decode_quarter(maps), *refined):
        assert points.isfinite().all()
        assert ((points >= 0) & (points <= torch.tensor([6.0, 4.0]))).all()


def test_a_window_is_a_slice_of_the_padded_map():
    maps = torch.randn(2, 3, 6, 5)
    centres = torch.stack((torch.randint(0, 5, (2, 3)), torch.randint(0, 6, (2, 3))), dim=-1)
    cut = windows(maps, centres, radius=2)
    padded = torch.nn.functional.pad(maps, (2, 2, 2, 2))
    for person, joint in np.ndindex(2, 3):
        x, y = centres[person, joint]
        assert torch.equal(cut[person, joint], padded[person, joint, y : y + 5, x : x + 5])


REFINING = {"dark": decode_dark, "expectation": decode_expectation}


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 0.01), (torch.bfloat16, 0.015)])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("decoder", list(REFINING))
def test_refining_decoders_find_the_point_away_from_the_border(decoder, sigma, dtype, bound):
    side = 48
    torch.manual_seed(0)
    points = torch.rand(4, 500, 2) * (side - 1 - 8 * sigma) + 4 * sigma
    # As a network in half precision gives them: 8 significant bits.
    maps = encode_gaussian(points, (side, side), sigma).to(dtype).float()
    error = (REFINING[decoder](maps, sigma) - points).abs().max()
    assert error < bound
    # Without the refinement it would be half a cell.
    assert (decode_argmax(maps) - points).abs().max() > 0.45


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_the_expectation_is_the_mean_over_the_window(sigma):
    maps = torch.rand(2, 5, 30, 26) * 0.1 - 0.02
    maps += encode_gaussian(torch.rand(2, 5, 2) * 8 + 8, (30, 26), sigma)
    reach = round(3 * sigma)
    for person, joint in np.ndindex(2, 5):
        heatmap = maps[person, joint].numpy()
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        rows, columns = np.mgrid[row - reach : row + reach + 1, column - reach : column + reach + 1]
        weight = heatmap[rows, columns].clip(0)
        mean = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        found = decode_expectation(maps, sigma)[person, joint]
        np.testing.assert_allclose(found, mean, atol=1e-4)


def test_the_expectation_is_not_moved_by_a_second_peak_far_away_nor_by_the_edge():
    maps = encode_gaussian(torch.tensor([[[8.2, 9.6]]]), (32, 32), sigma=1.5)
    alone = decode_expectation(maps, sigma=1.5)
    second = maps + 0.9 * encode_gaussian(torch.tensor([[[26.0, 24.0]]]), (32, 32), sigma=1.5)
    torch.testing.assert_close(decode_expectation(second, sigma=1.5), alone, atol=1e-3, rtol=0)
    points = torch.rand(1, 200, 2) * torch.tensor([3.0, 31.0])
    edge = decode_expectation(encode_gaussian(points, (32, 32), sigma=1.5), sigma=1.5)
    assert (edge - points).abs().max() <= 0.5 + 1e-4
