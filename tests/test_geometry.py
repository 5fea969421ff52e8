import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lightning_pose.geometry import (
    apply_affine,
    crop_matrix,
    crop_scale,
    flip_points,
    from_grid,
    from_unit,
    image_box,
    invert_affine,
    to_grid,
    to_unit,
    transform_points,
)

coordinates = st.floats(-500, 2000, width=32)
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5)
sizes = st.tuples(st.integers(1, 600), st.integers(1, 600))


@st.composite
def crops(draw: st.DrawFn) -> np.ndarray:
    x0, y0 = draw(st.floats(-50, 900)), draw(st.floats(-50, 900))
    width, height = draw(st.floats(5, 800)), draw(st.floats(5, 800))
    return crop_matrix(
        np.array([x0, y0, x0 + width, y0 + height], dtype=np.float32),
        draw(st.tuples(st.integers(16, 400), st.integers(16, 400))),
        enlarge=draw(st.floats(0.5, 2)),
        rotation=draw(st.floats(-180, 180)),
        scale=draw(st.floats(0.5, 2)),
        flip=draw(st.booleans()),
    )


@given(points, st.sampled_from([1, 2, 4, 8, 32]))
def test_grid_and_back(values: list, stride: int) -> None:
    image = torch.tensor(values)
    torch.testing.assert_close(from_grid(to_grid(image, stride), stride), image, atol=1e-3, rtol=0)


@pytest.mark.parametrize("stride", [2, 3, 4, 8])
def test_a_grid_cell_is_centred_on_the_pixels_it_averages(stride: int) -> None:
    columns = torch.arange(6.0 * stride)
    centres = functional.avg_pool1d(columns[None, None], stride)[0, 0]
    cells = torch.stack((torch.arange(6.0), torch.zeros(6)), dim=1)
    torch.testing.assert_close(from_grid(cells, stride)[:, 0], centres)


def test_a_grid_is_where_align_corners_false_samples() -> None:
    ramp = torch.arange(8.0)[None, None]
    larger = functional.interpolate(ramp, scale_factor=4, mode="linear", align_corners=False)[0, 0]
    pixels = torch.stack((torch.arange(32.0), torch.zeros(32)), dim=1)
    # At the border interpolation repeats the last cell.
    torch.testing.assert_close(to_grid(pixels, 4)[:, 0].clamp(0, 7), larger)


@given(points, sizes)
def test_unit_and_back(values: list, size: tuple[int, int]) -> None:
    image = torch.tensor(values)
    torch.testing.assert_close(from_unit(to_unit(image, size), size), image, atol=1e-3, rtol=1e-5)


def test_unit_coordinates_are_those_of_grid_sample() -> None:
    image = torch.arange(35.0).reshape(1, 1, 5, 7)
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    grid = to_unit(torch.stack((columns, rows), dim=-1), (5, 7))[None]
    torch.testing.assert_close(functional.grid_sample(image, grid, align_corners=False), image)


@given(points, st.integers(1, 600))
def test_a_flip_undoes_itself(values: list, width: int) -> None:
    image = torch.tensor(values)
    twice = flip_points(flip_points(image, width), width)
    torch.testing.assert_close(twice, image, atol=1e-3, rtol=0)


def test_a_flip_is_where_the_mirrored_image_has_the_pixel() -> None:
    image = torch.zeros(3, 7)
    image[1, 2] = 1
    row, column = torch.nonzero(image.flip(1))[0].tolist()
    assert flip_points(torch.tensor([[2.0, 1.0]]), width=7).tolist() == [[column, row]]


@given(crops(), points)
@settings(deadline=None)
def test_the_inverse_crop_gives_the_point_back(matrix: np.ndarray, values: list) -> None:
    source = torch.tensor(values)[None]
    crop = torch.from_numpy(matrix)[None]
    there = apply_affine(crop, source)
    # The precision of float32 for a point so many input pixels away, in source pixels.
    zoom = crop_scale(crop).item()
    bound = 1e-3 + 1e-6 * (there.abs().max().item() / zoom + source.abs().max().item())
    back = apply_affine(invert_affine(crop), there)
    assert (back - source).abs().max() < bound


@given(crops(), points)
@settings(deadline=None)
def test_numpy_and_torch_move_points_alike(matrix: np.ndarray, values: list) -> None:
    array = np.array(values, dtype=np.float32)
    expected = apply_affine(torch.from_numpy(matrix)[None], torch.from_numpy(array)[None])[0]
    np.testing.assert_allclose(transform_points(matrix, array), expected, rtol=1e-4, atol=1e-2)


def test_inverses_are_those_of_numpy_and_keep_their_type() -> None:
    matrices = torch.randn(8, 2, 3, dtype=torch.float64)
    homogeneous = np.concatenate((matrices.numpy(), np.tile([0, 0, 1.0], (8, 1, 1))), axis=1)
    expected = np.linalg.inv(homogeneous)[:, :2]
    torch.testing.assert_close(invert_affine(matrices), torch.from_numpy(expected))
    assert invert_affine(matrices.float()).dtype == torch.float32
    # As under autocast, where torch has no plain inverse.
    assert invert_affine(matrices.bfloat16()).dtype == torch.bfloat16


@given(crops())
@settings(deadline=None)
def test_a_crop_is_a_similarity(matrix: np.ndarray) -> None:
    linear = matrix[:, :2].astype(np.float64)
    zoom = crop_scale(torch.from_numpy(matrix)[None]).item()
    np.testing.assert_allclose(linear @ linear.T, zoom**2 * np.eye(2), atol=1e-4 * zoom**2)


@pytest.mark.parametrize("size", [(64, 64), (64, 33), (31, 80)])
@pytest.mark.parametrize("flip", [False, True])
def test_the_crops_centre_is_the_boxs_and_the_longer_side_fills_it(
    size: tuple[int, int], flip: bool
) -> None:
    box = np.array([10, 20, 50, 120], dtype=np.float32)
    for rotation in (0.0, 37.0):
        matrix = crop_matrix(box, size, enlarge=1.25, rotation=rotation, flip=flip)
        middle = transform_points(matrix, np.array([[30, 70]], dtype=np.float32))
        np.testing.assert_allclose(middle, [[(size[1] - 1) / 2, (size[0] - 1) / 2]], atol=1e-4)
    zoom = crop_scale(torch.from_numpy(matrix)[None]).item()
    assert zoom == pytest.approx(min(size[1] / 40, size[0] / 100) / 1.25, rel=1e-5)


def test_a_crop_of_the_whole_image_is_the_identity() -> None:
    matrix = crop_matrix(image_box((48, 64)), (48, 64), enlarge=1.0)
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_a_crop_of_the_whole_image_at_half_size_is_the_grid_of_stride_two() -> None:
    matrix = crop_matrix(image_box((48, 64)), (24, 32), enlarge=1.0)
    corners = np.array([[0, 0], [63, 47], [10, 20]], dtype=np.float32)
    expected = to_grid(torch.from_numpy(corners), 2).numpy()
    np.testing.assert_allclose(transform_points(matrix, corners), expected, atol=1e-5)


def test_a_positive_rotation_turns_clockwise_on_the_screen() -> None:
    box = np.array([0, 0, 20, 20], dtype=np.float32)
    above = np.array([[10, 2]], dtype=np.float32)
    turned = transform_points(crop_matrix(box, (21, 21), enlarge=1.0, rotation=90.0), above)[0]
    assert turned[0] > 15
    assert turned[1] == pytest.approx(10, abs=1e-4)


def test_a_flipped_crop_is_the_crop_flipped() -> None:
    box = np.array([3, 5, 40, 80], dtype=np.float32)
    settings = {"enlarge": 1.1, "rotation": 25.0, "scale": 1.2}
    source = np.array([[10, 20], [30, 70]], dtype=np.float32)
    plain = transform_points(crop_matrix(box, (64, 47), **settings), source)
    mirrored = transform_points(crop_matrix(box, (64, 47), flip=True, **settings), source)
    expected = flip_points(torch.from_numpy(plain), width=47)
    np.testing.assert_allclose(mirrored, expected, atol=1e-4)


FITS = ("contain", "cover", "stretch")


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("box", [(7, 9, 7, 9), (7, 9, 7, 80), (7, 9, 40, 9)])
def test_a_box_without_extent_still_makes_an_invertible_crop(box: tuple, fit: str) -> None:
    matrix = crop_matrix(np.array(box, dtype=np.float32), (32, 32), fit=fit)
    assert np.isfinite(matrix).all()
    assert torch.isfinite(invert_affine(torch.from_numpy(matrix)[None])).all()


@pytest.mark.parametrize("fit", FITS)
def test_a_single_point_counts_as_one_pixel(fit: str) -> None:
    box = np.array([7, 9, 7, 9], dtype=np.float32)
    for height, width in ((32, 48), (48, 32)):
        matrix = crop_matrix(box, (height, width), enlarge=2.0, fit=fit)
        np.testing.assert_allclose(matrix[:, :2], 24 * np.eye(2), rtol=1e-6)


def test_the_scale_is_the_length_of_a_moved_unit() -> None:
    matrix = crop_matrix(np.array([0, 0, 50, 50], dtype=np.float32), (100, 100), rotation=33.0)
    ends = transform_points(matrix, np.array([[0, 0], [3, 4]], dtype=np.float32))
    length = math.dist(*ends.tolist())
    assert crop_scale(torch.from_numpy(matrix)[None]).item() == pytest.approx(length / 5, rel=1e-5)


def test_points_keep_their_digits_under_autocast() -> None:
    # A matrix product would be rounded to bfloat16 there, which moves points by more than a pixel.
    points = torch.tensor([[[123.4567, 234.5678]]])
    matrix = torch.tensor([[[0.9, -0.1, 33.3], [0.1, 0.9, 44.4]]])
    plain = apply_affine(matrix, points)
    with torch.autocast("cpu", torch.bfloat16):
        cast = apply_affine(matrix, points)
        back = apply_affine(invert_affine(matrix), cast)
    torch.testing.assert_close(cast, plain)
    torch.testing.assert_close(back, points)


@pytest.mark.parametrize("size", [(64, 64), (64, 33), (31, 80)])
@pytest.mark.parametrize("fit", FITS)
def test_what_a_fit_shows_of_a_box(size: tuple[int, int], fit: str) -> None:
    # 40 x 100 pixels, from edge to edge.
    box = np.array([9.5, 19.5, 49.5, 119.5], dtype=np.float32)
    matrix = crop_matrix(box, size, enlarge=1.0, fit=fit)
    (left, top), (right, bottom) = transform_points(matrix, box.reshape(2, 2))
    height, width = size
    assert (left + right) / 2 == pytest.approx((width - 1) / 2, abs=1e-4)
    assert (top + bottom) / 2 == pytest.approx((height - 1) / 2, abs=1e-4)
    shown = (right - left) / width, (bottom - top) / height
    if fit == "contain":
        assert max(shown) == pytest.approx(1)
    elif fit == "cover":
        assert min(shown) == pytest.approx(1)
    else:
        assert shown == pytest.approx((1, 1))
    if fit != "stretch":
        assert (right - left) / (bottom - top) == pytest.approx(40 / 100)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("fit", FITS)
def test_a_rotation_turns_the_source_about_the_boxs_centre(fit: str, flip: bool) -> None:
    box = np.array([10, 20, 50, 120], dtype=np.float32)
    angle = math.radians(30)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    source = np.array([[12, 25], [40, 100], [30, 70]], dtype=np.float32)
    turned = ((source - (30, 70)) @ turn.T + (30, 70)).astype(np.float32)
    settings = {"flip": flip, "scale": 1.3, "fit": fit}
    expected = transform_points(crop_matrix(box, (64, 48), **settings), turned)
    found = transform_points(crop_matrix(box, (64, 48), rotation=30.0, **settings), source)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("fit", FITS)
def test_enlarging_and_scaling_undo_each_other(fit: str) -> None:
    box = np.array([10, 20, 50, 120], dtype=np.float32)
    plain = crop_matrix(box, (64, 48), enlarge=1.0, fit=fit)
    both = crop_matrix(box, (64, 48), enlarge=1.5, scale=1.5, fit=fit)
    np.testing.assert_allclose(plain, both, rtol=1e-5)
