"""Skeletons and masks land where the points and pixels are, and nowhere else."""

import numpy as np
import pytest

from lightning_pose.skeletons import LSP14
from lightning_pose.visualization import draw_heatmap, draw_mask, draw_saliency, draw_skeleton


def black(height=80, width=100):
    return np.zeros((height, width, 3), dtype=np.uint8)


def centre_of_light(image):
    light = image.astype(float).sum(axis=2)
    rows, columns = np.indices(light.shape)
    return (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()


@pytest.mark.parametrize("point", [(50.0, 40.0), (50.5, 40.25), (33.25, 61.75)])
def test_a_joint_is_drawn_at_its_point_to_a_fraction_of_a_pixel(point):
    points = np.zeros((14, 2), dtype=np.float32)
    points[13] = point
    image = draw_skeleton(black(), points, np.arange(14) == 13, LSP14)
    assert centre_of_light(image) == pytest.approx(point, abs=0.15)


def test_a_lone_joint_is_as_large_as_in_a_person_who_fills_the_image():
    points = np.zeros((14, 2), dtype=np.float32)
    points[12:] = [[150.0, 0.0], [150.0, 299.0]]
    one = draw_skeleton(black(300, 300), points, np.arange(14) == 13, LSP14)
    two = draw_skeleton(black(300, 300), points, np.arange(14) >= 12, LSP14)
    assert one.any(axis=(0, 2)).sum() == two[290:].any(axis=(0, 2)).sum() > 8


def test_limbs_have_the_skeletons_colours_and_only_between_drawn_joints():
    rng = np.random.default_rng(0)
    points = rng.uniform((10, 10), (390, 290), (14, 2)).astype(np.float32)
    for limb, colour in zip(LSP14.limbs, LSP14.colours, strict=True):
        drawn = np.isin(np.arange(14), limb)
        x, y = np.round(points[drawn].mean(axis=0)).astype(int)
        image = draw_skeleton(black(300, 400), points, drawn, LSP14)
        # Thin lines are anti-aliased: the pixel with the full colour may be the one next to it.
        near = image[y - 1 : y + 2, x - 1 : x + 2].astype(int)
        assert np.abs(near - colour).max(axis=2).min() < 40
        one = draw_skeleton(black(300, 400), points, np.arange(14) == limb[0], LSP14)
        assert not one[y, x].any()


def test_the_image_stays_and_joints_that_are_not_drawn_leave_no_trace():
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    before = image.copy()
    points = np.full((14, 2), 30.0, dtype=np.float32)
    nothing = draw_skeleton(image, points, np.zeros(14, dtype=bool), LSP14)
    np.testing.assert_array_equal(nothing, before)
    assert (draw_skeleton(image, points, np.ones(14, dtype=bool), LSP14) != before).any()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 3e9])
def test_a_wild_point_breaks_nothing(value):
    points = np.full((14, 2), 30.0, dtype=np.float32)
    points[:, 0] = np.linspace(5, 95, 14)
    points[3] = value
    image = draw_skeleton(black(), points, np.ones(14, dtype=bool), LSP14)
    assert image.any()
    if not np.isfinite(value):
        known = draw_skeleton(black(), np.nan_to_num(points), np.arange(14) != 3, LSP14)
        np.testing.assert_array_equal(image, known)


def test_a_mask_tints_its_pixels_and_has_a_contour():
    mask = np.zeros((80, 100), dtype=bool)
    mask[20:60, 30:70] = True
    image = np.full((80, 100, 3), 100, dtype=np.uint8)
    tinted = draw_mask(image, mask, colour=(200, 0, 100), opacity=0.5)
    assert (image == 100).all()
    assert (tinted[25:55, 35:65] == (150, 50, 100)).all()
    np.testing.assert_allclose(tinted[20, 50], [200, 0, 100], atol=15)  # anti-aliased
    far = np.ones_like(mask)
    far[17:63, 27:73] = False
    assert (tinted[far] == 100).all()


def test_an_empty_mask_changes_nothing():
    image = np.full((8, 9, 3), 100, dtype=np.uint8)
    np.testing.assert_array_equal(draw_mask(image, np.zeros((8, 9), dtype=bool)), image)


def test_a_heatmap_covers_its_peak_most_and_nothing_where_it_is_zero():
    rows, columns = np.mgrid[:80, :100]
    heatmap = np.exp(-((columns - 60.0) ** 2 + (rows - 25.0) ** 2) / 50)
    heatmap[heatmap < 1e-3] = 0
    image = np.full((80, 100, 3), 40, dtype=np.uint8)
    drawn = draw_heatmap(image, heatmap, colour=(240, 140, 40), opacity=0.5)
    assert drawn[25, 60].tolist() == [140, 90, 40]
    assert np.unravel_index(drawn[..., 0].argmax(), (80, 100)) == (25, 60)
    assert (drawn[heatmap == 0] == 40).all()
    assert (image == 40).all()
    # Only the shape of the map matters, because heads may scale their maps freely.
    np.testing.assert_array_equal(draw_heatmap(image, heatmap * 1e-3, (240, 140, 40), 0.5), drawn)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_heatmap_without_a_peak_changes_nothing(value):
    image = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_heatmap(image, np.full((8, 9), value)), image)


def test_saliency_is_lighter_where_it_is_higher_on_the_maps_own_scale():
    rng = np.random.default_rng(0)
    saliency = rng.uniform(3.0, 3.1, (20, 30))
    image = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    before = image.copy()
    light = draw_saliency(image, saliency, opacity=1.0).mean(axis=2)
    np.testing.assert_array_equal(image, before)
    order = saliency.argsort(axis=None)
    assert (np.diff(light.flat[order]) >= -1).all()
    assert light.max() > 180
    assert light.min() < 10
    np.testing.assert_array_equal(
        draw_saliency(image, saliency), draw_saliency(image, 1e-4 * (saliency - 3.0))
    )
    # Under it, the image is in shades of grey.
    shades = draw_saliency(image, saliency, opacity=0.0)
    np.testing.assert_allclose(shades, image.mean(axis=2, keepdims=True).repeat(3, 2), atol=0.5)


def test_saliency_that_is_the_same_everywhere_can_be_drawn():
    drawn = draw_saliency(black(8, 9), np.full((8, 9), 2.0))
    assert (drawn == drawn[0, 0]).all()
