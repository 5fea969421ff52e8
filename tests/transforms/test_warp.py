from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lightning_pose.datasets.images import read_image
from lightning_pose.geometry import crop_matrix, image_box, transform_points
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import Sample
from lightning_pose.transforms import PersonCrop, warp_image, warp_mask
from tests.transforms.people import blob_person, centre_of_brightness, cut, smooth

NOISE = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(values)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_warp_that_hardly_shrinks_is_opencvs(interpolation: str) -> None:
    matrix = crop_matrix(np.array([3, 4, 50, 33], np.float32), (32, 48), rotation=20.0)
    flags = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}[interpolation]
    expected = cv2.warpAffine(NOISE, matrix, (48, 32), flags=flags)
    np.testing.assert_array_equal(warp_image(NOISE, matrix, (32, 48), interpolation), expected)


def test_linear_is_the_default_and_another_result_than_cubic() -> None:
    matrix = crop_matrix(image_box((40, 56)), (60, 84), enlarge=1.0)
    linear = warp_image(NOISE, matrix, (60, 84))
    np.testing.assert_array_equal(linear, warp_image(NOISE, matrix, (60, 84), "linear"))
    assert (linear != warp_image(NOISE, matrix, (60, 84), "cubic")).mean() > 0.5


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("blocks", [(2, 2), (4, 2), (1, 8), (5, 1)])
def test_shrinking_by_whole_numbers_is_the_mean_of_blocks(
    blocks: tuple[int, int], interpolation: str
) -> None:
    down, across = blocks
    size = (40 // down, 56 // across)
    matrix = crop_matrix(image_box((40, 56)), size, enlarge=1.0, fit="stretch")
    means = NOISE.reshape(size[0], down, size[1], across, 3).mean(axis=(1, 3))
    warped = warp_image(NOISE, matrix, size, interpolation)
    assert np.abs(warped - means).max() <= 1


def test_only_the_axis_that_shrinks_is_averaged() -> None:
    rows, columns = np.mgrid[:64, :256]
    matrix = crop_matrix(image_box((64, 256)), (64, 32), enlarge=1.0, fit="stretch")
    # Stripes of one pixel along the axis that shrinks become grey; along the other they stay.
    across = warp_image(grey(columns % 2 * 255), matrix, (64, 32))
    assert abs(across.astype(int) - 127).max() <= 1
    down = warp_image(grey(rows % 2 * 255), matrix, (64, 32))
    np.testing.assert_array_equal(down[:, 5, 0], np.arange(64) % 2 * 255)


def test_a_crop_may_shrink_along_one_axis_and_grow_along_the_other() -> None:
    rows, columns = np.mgrid[:64, :256]
    matrix = crop_matrix(image_box((64, 256)), (160, 32), enlarge=1.0, fit="stretch")
    stripes = warp_image(grey(columns % 2 * 255), matrix, (160, 32))
    assert abs(stripes[2:-2, 1:-1].astype(int) - 127).max() <= 1
    ramp = warp_image(grey(rows), matrix, (160, 32))[2:-2, 16, 0]
    assert abs(ramp - ((np.arange(2, 158) + 0.5) / 2.5 - 0.5)).max() <= 1


def test_a_turned_crop_averages_the_axis_that_its_short_side_shows() -> None:
    rows, columns = np.mgrid[:64, :256]
    # Turned by a right angle, the rows of the image run across the crop.
    turned = crop_matrix(image_box((64, 256)), (64, 32), enlarge=1.0, rotation=90.0, fit="stretch")
    across = warp_image(grey(rows % 2 * 255), turned, (64, 32))[:, 13:19]
    assert abs(across.astype(int) - 127).max() <= 1
    down = warp_image(grey(columns % 2 * 255), turned, (64, 32))[:, 13:19]
    assert down.std() > 120


def test_a_crop_that_shrinks_keeps_points_and_image_together() -> None:
    for shrink in (2.3, 3.0, 5.7):
        sample = blob_person(3, size=(151, 203), sigma=7.0)
        size = (int(151 / shrink), int(203 / shrink))
        wide = replace(sample, box=np.array([-0.5, -0.5, 202.5, 150.5], dtype=np.float32))
        cropped = cut(PersonCrop(InputSpec(size, enlarge=1.0)), wide)
        distance = centre_of_brightness(cropped.image) - cropped.keypoints[11]
        assert np.abs(distance).max() < 0.1


def test_a_crop_that_shrinks_does_not_alias() -> None:
    rows, columns = np.mgrid[:240, :240]
    checks = np.repeat((((rows + columns) % 2) * 255)[..., None], 3, axis=2).astype(np.uint8)
    sample = replace(
        blob_person(0),
        image=checks,
        mask=np.zeros((240, 240), np.int8),
        box=np.array([-0.5, -0.5, 239.5, 239.5], dtype=np.float32),
    )
    inner = cut(PersonCrop(InputSpec((50, 50), enlarge=1.0)), sample).image[2:-2, 2:-2]
    assert abs(inner.astype(int) - 127).max() <= 2


def test_an_image_that_shrinks_keeps_its_last_rows_and_columns() -> None:
    # 999 and 777 are not multiples of the blocks that are averaged before the warp.
    image = np.full((999, 777, 3), 255, dtype=np.uint8)
    sample = Sample(
        image=image,
        keypoints=np.zeros((14, 2), dtype=np.float32),
        visibility=np.zeros(14, dtype=np.uint8),
        mask=np.full((999, 777), -1, dtype=np.int8),
        box=image_box((999, 777)),
        head_size=0.0,
        torso_size=0.0,
        area=0.0,
        labels={},
        person_id=0,
        image_id="white",
    )
    crop = cut(PersonCrop(InputSpec((128, 128), enlarge=1.0)), sample)
    left, top = transform_points(crop.crop, np.array([[0, 0]], dtype=np.float32))[0]
    right, bottom = transform_points(crop.crop, np.array([[776, 998]], dtype=np.float32))[0]
    rows, columns = np.mgrid[:128, :128]
    inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
    # The outermost pixel is blended with the black next to it, and no more than that.
    assert crop.image[inside].min() > 192


def oriented(path: Path, image: np.ndarray, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(path, exif=exif, quality=95, subsampling=0)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(480, 640), (481, 643), (487, 655)])
def test_a_reduced_image_and_the_full_one_give_the_same_crop(
    tmp_path: Path, size: tuple[int, int], orientation: int
) -> None:
    path = oriented(tmp_path / "a.jpg", smooth(size), orientation)
    full, none = read_image(path)
    assert none is None
    box = np.array([85, 95, 385, 395], dtype=np.float32)
    for shrink, factor in ((2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (20, 8)):
        small, frame = read_image(path, shrink)
        assert small.shape[:2] == tuple(-(-side // factor) for side in full.shape[:2])
        assert frame is not None
        side = round(300 / factor / 1.05)
        matrix = crop_matrix(box, (side, side - 3), enlarge=1.0, rotation=25.0)
        expected = warp_image(full, matrix, (side, side - 3)).astype(int)

        # A frame that is off by a sixth of a crop pixel, in any direction, would be detected.
        differences = []
        for dx, dy in ((0, 0), (0.15, 0), (-0.15, 0), (0, 0.15), (0, -0.15)):
            moved = matrix + np.array([[0, 0, dx], [0, 0, dy]], dtype=np.float32)
            found = warp_image(small, moved, (side, side - 3), frame=frame)
            differences.append(float(np.abs(found - expected).mean()))
        assert differences[0] < 1
        assert differences[0] < min(differences[1:])


@pytest.mark.parametrize("orientation", [1, 6, 3])
@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_point_lies_where_the_frame_says(tmp_path: Path, shrink: int, orientation: int) -> None:
    rows, columns = np.mgrid[:243, :309]
    for x, y in ((61.3, 40.2), (200.7, 181.5)):
        spot = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 12.0**2))
        path = oriented(tmp_path / "a.jpg", grey(spot), orientation)

        def centre(image: np.ndarray) -> np.ndarray:
            weight = np.where(image[..., 0] > 8, image[..., 0].astype(float), 0)
            rows, columns = np.indices(weight.shape)
            return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()

        small, frame = read_image(path, shrink)
        expected = transform_points(frame, centre(read_image(path)[0])[None].astype(np.float32))
        np.testing.assert_allclose(centre(small), expected[0], atol=0.03)


def test_a_mask_keeps_its_values_and_its_frame() -> None:
    mask = np.full((20, 30), -1, dtype=np.int8)
    mask[5:15, 10:20] = 1
    mask[5:15, 20:25] = 0
    identity = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    np.testing.assert_array_equal(warp_mask(mask, identity, (20, 30)), mask)
    # A mask at half scale, to a crop at full scale.
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]], dtype=np.float32)
    doubled = warp_mask(mask, identity, (40, 60), frame=half)
    np.testing.assert_array_equal(doubled, mask.repeat(2, axis=0).repeat(2, axis=1))


def test_beyond_a_mask_is_background_and_no_mask_is_unknown() -> None:
    shifted = np.array([[1, 0, 4], [0, 1, 0]], dtype=np.float32)
    mask = np.ones((8, 8), dtype=np.int8)
    assert warp_mask(mask, shifted, (8, 8)).tolist() == [[0] * 4 + [1] * 4] * 8
    for unknown in (None, np.full((8, 8), -1, dtype=np.int8)):
        assert (warp_mask(unknown, shifted, (5, 7)) == -1).all()
        assert warp_mask(unknown, shifted, (5, 7)).shape == (5, 7)
