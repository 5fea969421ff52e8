"""Harmonic convolutions: numbers of order m turn by m times the angle of the image."""

import cmath
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from lightning_pose.backbones.harmonic import (
    HarmonicConvolution,
    HarmonicFilters,
    MagnitudeReLU,
    magnitudes,
)
from tests.backbones.rotation import blobs, difference, rotated


def complex_maps(x):
    """The numbers of order 0 and those of order 1."""
    real, imaginary = x.chunk(2, dim=1)
    return torch.complex(real, imaginary).chunk(2, dim=1)


def layers():
    """Two convolutions of an image with their norms, after which the phases have mattered."""
    return nn.Sequential(
        HarmonicConvolution(3, 6, orders=(0,)),
        MagnitudeReLU(6),
        HarmonicConvolution(6, 6),
        MagnitudeReLU(6),
    ).double()


def respond(network, image):
    return network(torch.cat((image, torch.zeros_like(image)), dim=1))


@pytest.mark.parametrize("order", [-1, 0, 1])
def test_a_filter_is_its_profile_times_a_phase_that_turns(order):
    filters = HarmonicFilters(order, before=2, after=3)
    found = filters().detach()
    assert found.shape == (3, 2, 2, 3, 3)
    for after, before in itertools.product(range(3), range(2)):
        phase, profile = filters.phase[after, before].item(), filters.profile[after, before]
        for y, x in itertools.product((-1, 0, 1), repeat=2):
            ring = x * x + y * y - (order != 0)
            height = profile[ring].item() if ring >= 0 else 0.0
            expected = height * cmath.exp(1j * (order * math.atan2(y, x) + phase))
            cell = complex(*found[after, before, :, y + 1, x + 1].tolist())
            assert cell == pytest.approx(expected, abs=1e-6)


def test_it_is_the_convolution_of_complex_numbers():
    convolution = HarmonicConvolution(before=2, after=3).double()
    x = torch.randn(1, 8, 6, 7, dtype=torch.float64)
    found = complex_maps(convolution(x))
    inputs = complex_maps(x)
    for new in (0, 1):
        expected = 0
        for old in (0, 1):
            real, imaginary = convolution.filters[2 * new + old]().unbind(dim=2)
            kernel = torch.complex(real, imaginary)
            expected = expected + nn.functional.conv2d(inputs[old], kernel, padding=1)
        torch.testing.assert_close(found[new], expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_the_image_turn_the_numbers_of_order_1_exactly(quarters):
    network = layers()
    image = torch.randn(2, 3, 12, 17, dtype=torch.float64)
    before = complex_maps(respond(network, image))
    after = complex_maps(respond(network, image.rot90(quarters, dims=(2, 3))))
    # On the screen, where y points down, `rot90` turns from x to minus y.
    for order, (one, other) in enumerate(zip(before, after, strict=True)):
        turned = one.rot90(quarters, dims=(2, 3)) * (-1j) ** (order * quarters)
        assert turned.abs().std() > 0.1
        torch.testing.assert_close(other, turned)


@pytest.mark.parametrize("degrees", [10, 30, 45])
def test_other_angles_rotate_the_magnitudes_to_two_per_cent_of_their_variation(degrees):
    # In evaluation mode, because the statistics of a batch include the corners of the image.
    network = layers().eval()
    before, after = (magnitudes(respond(network, blobs(angle))) for angle in (0, degrees))
    assert difference(after, rotated(before, degrees)) < 0.02


@pytest.mark.parametrize("degrees", [10, 30, 45, 90])
def test_a_plain_convolution_does_not(degrees):
    network = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
    ).double().eval()  # fmt: skip
    before, after = (network(blobs(angle)) for angle in (0, degrees))
    assert difference(after, rotated(before, degrees)) > 0.05


def test_batch_norm_and_relu_change_the_magnitudes_alone():
    norm = MagnitudeReLU(channels=2).double()
    nn.init.uniform_(norm.norm.weight, 0.5, 2)
    nn.init.uniform_(norm.norm.bias, -0.5, 0.5)
    x = torch.randn(3, 8, 5, 6, dtype=torch.float64)
    before, after = (torch.cat(complex_maps(maps), dim=1).numpy() for maps in (x, norm(x).detach()))
    sizes = np.sqrt(np.abs(before) ** 2 + 1e-4)
    mean, variance = sizes.mean((0, 2, 3), keepdims=True), sizes.var((0, 2, 3), keepdims=True)
    weight, bias = (p.detach().numpy()[:, None, None] for p in (norm.norm.weight, norm.norm.bias))
    expected = np.maximum((sizes - mean) / np.sqrt(variance + 1e-5) * weight + bias, 0)
    np.testing.assert_allclose(after, before / sizes * expected)
    assert 0.2 < (expected == 0).mean() < 0.8


def test_an_even_image_has_finite_gradients():
    # Its numbers of order 1 are 0 but for rounding, and have no direction.
    network = layers().float()
    nn.init.constant_(network[1].norm.bias, 3.0)
    image = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    magnitudes(respond(network, image)).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() < 1e4
    assert image.grad.isfinite().all()


def test_squares_beyond_float16_are_finite():
    x = torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16)
    assert MagnitudeReLU(channels=1).eval()(x).isfinite().all()


def test_magnitudes_neither_grow_nor_fade_at_the_start():
    torch.manual_seed(0)
    convolution = HarmonicConvolution(before=16, after=64)
    x = torch.randn(4, 4 * 16, 24, 24)
    inside = convolution(x)[:, :, 1:-1, 1:-1]
    # Nine cells of one order and eight of the other, which has no centre.
    ratio = inside.square().mean() / x.square().mean()
    assert ratio.item() == pytest.approx((9 + 8) / (2 * 9), rel=0.05)
