from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.stats
import torch

from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import ConfigError
from lightning_pose.geometry import (
    apply_affine,
    crop_matrix,
    image_box,
    invert_affine,
)
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import Pixels
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop, warp_image
from tests.data.lspet import write_lspet
from tests.transforms.people import (
    OnePerson,
    blob_person,
    centre_of_brightness,
    cut,
    smooth,
)

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "turned": {"rotation": 180.0},
    "scaled": {"scale": 0.3},
    "scaled in a range": {"scale": (0.75, 1.25)},
    "mirrored": {"flip": 1.0},
    "shifted": {"shift": 0.05},
    "jittered": {"box_jitter": 0.1},
    "all": {"rotation": 180.0, "scale": 0.3, "flip": 0.5, "shift": 0.05, "box_jitter": 0.05},
}


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
@pytest.mark.parametrize("size", [(128, 128), (97, 64), (255, 191)])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_points_and_image_agree(settings: dict[str, Any], size: tuple[int, int], fit: str) -> None:
    crop = PersonCrop(InputSpec(size, enlarge=2.0, fit=fit), LSP14, **settings)
    for seed in range(8):
        sample = blob_person(seed)
        cropped = cut(crop, sample, seed)
        mirrored = np.linalg.det(cropped.crop[:, :2]) < 0
        joint = LSP14.flip_order[11] if mirrored else 11
        assert cropped.visibility[joint] == 2
        distance = centre_of_brightness(cropped.image) - cropped.keypoints[joint]
        assert np.abs(distance).max() < 0.1


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_inverse_crop_gives_the_source_points(settings: dict[str, Any]) -> None:
    crop = PersonCrop(InputSpec((128, 96), enlarge=2.0), LSP14, **settings)
    for seed in range(8):
        cropped = cut(crop, blob_person(seed), seed)
        matrix = torch.from_numpy(cropped.crop)[None]
        points = torch.from_numpy(cropped.keypoints)[None]
        source = apply_affine(invert_affine(matrix), points)[0].numpy()
        if np.linalg.det(cropped.crop[:, :2]) < 0:
            source = source[LSP14.flip_order]
        assert (cropped.visibility > 0).all()
        np.testing.assert_allclose(source, cropped.annotation.keypoints, atol=1e-3)


def test_a_flip_mirrors_the_crop_and_swaps_left_and_right() -> None:
    sample = blob_person(1)
    sample.visibility[:] = np.arange(14) % 2 + 1
    plain = cut(PersonCrop(InputSpec((64, 49)), LSP14), sample)
    mirrored = cut(PersonCrop(InputSpec((64, 49)), LSP14, flip=1.0), sample)
    left, right = LSP14.names.index("left_knee"), LSP14.names.index("right_knee")
    assert mirrored.keypoints[right, 0] == pytest.approx(48 - plain.keypoints[left, 0], abs=1e-4)
    assert mirrored.keypoints[right, 1] == pytest.approx(plain.keypoints[left, 1], abs=1e-4)
    assert mirrored.visibility[right] == plain.visibility[left]
    assert abs(mirrored.image[:, ::-1].astype(int) - plain.image).max() <= 2
    assert (mirrored.mask[:, ::-1] != plain.mask).mean() < 0.02
    np.testing.assert_array_equal(mirrored.annotation.keypoints, sample.keypoints)


def test_joints_that_leave_the_crop_become_unlabelled_here_and_not_in_the_source() -> None:
    sample = blob_person(2)
    sample.visibility[0] = 0
    sample.keypoints[0] = 0
    # The box ends at the wrist: about half of the joints lie beyond it.
    sample.box[2] = sample.keypoints[11, 0] + 0.01
    before = sample.keypoints.copy()
    cropped = cut(PersonCrop(InputSpec((64, 64), enlarge=0.5)), sample)
    out = cropped.visibility == 0
    assert 2 <= out.sum() < 14
    assert not cropped.keypoints[out].any()
    assert ((cropped.keypoints[~out] >= -0.5) & (cropped.keypoints[~out] < 63.5)).all()
    np.testing.assert_array_equal(sample.keypoints, before)
    assert sample.visibility.tolist() == [0] + [2] * 13


def test_a_joint_is_inside_from_edge_to_edge_of_the_outermost_pixels() -> None:
    sample = blob_person(2)
    # The crop is the image of 200 x 150 pixels itself.
    sample.box[:] = (-0.5, -0.5, 199.5, 149.5)
    edges = [(-0.5, 0), (-0.51, 0), (199.49, 0), (199.5, 0), (0, -0.5), (0, -0.51), (0, 149.49)]
    sample.keypoints[: len(edges)] = edges
    sample.keypoints[len(edges)] = (0, 149.5)
    cropped = cut(PersonCrop(InputSpec((150, 200), enlarge=1.0)), sample)
    assert (cropped.visibility[:8] > 0).tolist() == [1, 0, 1, 0, 1, 0, 1, 0]


def test_a_mask_is_read_at_the_nearest_pixel() -> None:
    sample = blob_person(0)
    sample.mask[:, 100:] = -1  # A blend of person and unknown would be neither.
    crop = PersonCrop(InputSpec((128, 128)), rotation=180.0, scale=0.5)
    for seed in range(6):
        found = set(np.unique(cut(crop, sample, seed).mask))
        assert {-1, 1} <= found <= {-1, 0, 1}


def test_beyond_the_image_is_black_and_background_where_there_is_a_mask() -> None:
    sample = blob_person(0)
    sample.image[:] = 200
    sample.mask[:] = 1
    sample.box[:] = (-100, -100, 100, 100)
    cropped = cut(PersonCrop(InputSpec((80, 80), enlarge=1.0)), sample)
    assert (cropped.image[:38, :38] == 0).all()
    assert (cropped.mask[:39, :39] == 0).all()
    assert (cropped.image[42:, 42:] == 200).all()
    assert (cropped.mask[41:, 41:] == 1).all()


def test_unknown_pixels_stay_unknown_and_no_mask_is_unknown_everywhere() -> None:
    sample = blob_person(0)
    sample.mask[:, :100] = -1
    sample.box[:] = (-0.5, -0.5, 199.5, 149.5)
    cropped = cut(PersonCrop(InputSpec((75, 100), enlarge=1.0)), sample)
    assert (cropped.mask[:, :49] == -1).all()
    assert set(np.unique(cropped.mask[:, 51:])) == {0, 1}
    sample.mask[:] = -1
    sample.box[:] = (-100, -100, 100, 100)
    assert (cut(PersonCrop(InputSpec((75, 100))), sample).mask == -1).all()


def test_the_mask_is_where_the_image_is() -> None:
    sample = blob_person(0)
    sample.image[:] = sample.mask[..., None] * np.uint8(255)
    crop = PersonCrop(InputSpec((128, 128)), LSP14, rotation=90.0, scale=0.3, flip=0.5)
    for seed in range(6):
        cropped = cut(crop, sample, seed)
        assert ((cropped.image[..., 0] > 127) != (cropped.mask == 1)).mean() < 0.005


@pytest.mark.parametrize(
    ("interpolation", "flags"), [("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC)]
)
def test_the_crop_is_one_warp_of_bare_opencv(interpolation: str, flags: int) -> None:
    sample = blob_person(4)
    spec = InputSpec((128, 128), enlarge=1.0, interpolation=interpolation)
    cropped = cut(PersonCrop(spec), sample)
    expected = cv2.warpAffine(sample.image, cropped.crop, (128, 128), flags=flags)
    np.testing.assert_array_equal(cropped.image, expected)


def test_evaluation_leaves_nothing_to_chance_and_training_follows_its_generator() -> None:
    sample = blob_person(5)
    plain = PersonCrop(InputSpec((64, 64)))
    np.testing.assert_array_equal(cut(plain, sample, 0).crop, cut(plain, sample, 1).crop)
    chance = PersonCrop(InputSpec((64, 64)), LSP14, rotation=30.0, scale=0.2, flip=0.5)
    crops = [cut(chance, sample, seed).crop for seed in (0, 0, 1)]
    np.testing.assert_array_equal(crops[0], crops[1])
    assert not np.allclose(crops[0], crops[2])


def test_chance_stays_within_its_settings_and_uses_them() -> None:
    sample = blob_person(6)
    plain = cut(PersonCrop(InputSpec((64, 64))), sample).crop
    base = np.sqrt(np.linalg.det(plain[:, :2]))
    crop = PersonCrop(InputSpec((64, 64)), LSP14, rotation=30.0, scale=0.25, flip=0.5)
    matrices = [cut(crop, sample, s).crop[:, :2] for s in range(400)]
    zooms = np.array([np.sqrt(abs(np.linalg.det(m))) / base for m in matrices])
    mirrored = np.array([np.linalg.det(m) < 0 for m in matrices])
    angles = np.degrees([np.arctan2(m[1, 0], m[1, 1]) for m in matrices])
    assert 0.799 < zooms.min() < 0.82
    assert 1.22 < zooms.max() < 1.251
    assert -30.01 < angles.min() < -28
    assert 28 < angles.max() < 30.01
    assert 0.4 < mirrored.mean() < 0.6


def test_a_range_of_scales_is_uniform_and_draws_the_same_numbers() -> None:
    sample = blob_person(6)
    spec = InputSpec((64, 64))
    settings = {"rotation": 30.0, "flip": 0.5, "shift": 0.1}
    number = PersonCrop(spec, LSP14, scale=0.25, **settings)
    pair = PersonCrop(spec, LSP14, scale=(0.75, 1.5), **settings)
    base = np.sqrt(np.linalg.det(cut(PersonCrop(spec), sample).crop[:, :2]))
    chances = []
    for seed in range(400):
        crops = [cut(crop, sample, seed).crop[:, :2] for crop in (number, pair)]
        zooms = [np.sqrt(abs(np.linalg.det(crop))) for crop in crops]
        # Rotation and flip are the same whatever the form of the scale.
        np.testing.assert_allclose(crops[0] / zooms[0], crops[1] / zooms[1], atol=1e-5)
        chance = np.log(zooms[0] / base) / np.log(1.25)  # Uniform in [-1, 1].
        assert zooms[1] / base == pytest.approx(1.125 + 0.375 * chance, abs=1e-4)
        chances.append(chance)
    assert min(chances) < -0.97
    assert max(chances) > 0.97
    assert scipy.stats.kstest(chances, "uniform", (-1, 2)).pvalue > 0.01


def test_a_seed_draws_the_same_numbers_in_every_version() -> None:
    sample, spec = blob_person(6), InputSpec((64, 96))
    crop = PersonCrop(spec, LSP14, rotation=30.0, scale=0.25, flip=0.5, shift=0.1, box_jitter=0.2)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        turn, zoom, mirror = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.random() < 0.5
        right, down, *edges = rng.uniform(-1, 1, size=6).tolist()
        expected, _ = spec.crop(
            sample.box,
            None,
            rotation=30.0 * turn,
            scale=1.25**zoom,
            flip=bool(mirror),
            shift=(0.1 * right, 0.1 * down),
            edges=tuple(0.2 * edge for edge in edges),
        )
        np.testing.assert_array_equal(cut(crop, sample, seed).crop, expected)


def test_a_shift_moves_the_person_by_a_fraction_of_the_input() -> None:
    sample = blob_person(6)
    plain = cut(PersonCrop(InputSpec((64, 96))), sample).crop
    crop = PersonCrop(InputSpec((64, 96)), shift=0.25)
    moves = np.array([cut(crop, sample, s).crop - plain for s in range(400)])
    assert not moves[:, :, :2].any()
    for axis, length in ((0, 96), (1, 64)):
        low, high = moves[:, axis, 2].min() / length, moves[:, axis, 2].max() / length
        assert -0.2501 < low < -0.24
        assert 0.24 < high < 0.2501


def test_jitter_moves_each_edge_of_the_box_by_a_fraction_of_its_side() -> None:
    sample = blob_person(6)
    crop = PersonCrop(InputSpec((64, 96), enlarge=1.0, fit="stretch"), box_jitter=0.2)
    boxes = []
    for seed in range(400):
        inverse = np.linalg.inv(np.vstack((cut(crop, sample, seed).crop, (0, 0, 1))))
        corners = inverse @ np.array([[-0.5, 95.5], [-0.5, 63.5], [1, 1]])
        boxes.append(corners[:2].T.flatten())
    sides = np.tile(sample.box[2:] - sample.box[:2], 2)
    moves = (np.array(boxes) - sample.box) / sides
    assert (np.abs(moves) < 0.2001).all()
    assert (moves.min(axis=0) < -0.19).all()
    assert (moves.max(axis=0) > 0.19).all()
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.2


def test_joints_on_a_line_make_a_box_and_a_single_one_shows_the_whole_image() -> None:
    sample, spec = blob_person(6), InputSpec((64, 64))
    for box in ((20, 50, 90, 50), (20, 50, 20, 90)):
        sample.box[:] = box
        matrix, _ = spec.crop(sample.box, None)
        np.testing.assert_array_equal(cut(PersonCrop(spec), sample).crop, matrix)
    sample.box[:] = (20, 50, 20, 50)
    whole, _ = spec.crop(None, sample.mask.shape)
    np.testing.assert_array_equal(cut(PersonCrop(spec), sample).crop, whole)


def test_the_whole_image_has_no_box_to_jitter_and_a_jittered_box_keeps_its_size() -> None:
    sample = blob_person(6)
    whole = InputSpec((64, 64), subject="image")
    np.testing.assert_array_equal(
        cut(PersonCrop(whole, box_jitter=0.2), sample).crop, cut(PersonCrop(whole), sample).crop
    )
    short = InputSpec(size=None, short_side=32)
    shapes = {cut(PersonCrop(short, box_jitter=0.4), sample, seed).mask.shape for seed in range(9)}
    assert shapes == {cut(PersonCrop(short), sample).mask.shape}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 1.5}, "flip from 0 to 1, found 1.5"),
        ({"rotation": -1.0}, "rotation from 0 to 180, found -1.0"),
        ({"scale": -0.1}, r"scale as a number of 0 or more, .* found -0\.1;"),
        ({"scale": np.nan}, "found nan"),
        ({"scale": (1.25, 0.75)}, r"0 < low <= high, found \[1\.25, 0\.75\]"),
        ({"scale": (0.0, 1.25)}, r"found \[0\.0, 1\.25\]"),
        ({"scale": (0.75, np.inf)}, r"found \[0\.75, inf\]"),
        ({"shift": 0.6}, "shift from 0 to 0.5, found 0.6"),
        ({"box_jitter": 0.5}, "box_jitter from 0 to 0.4, found 0.5"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PersonCrop(InputSpec((64, 64)), LSP14, **settings)


def test_a_flip_needs_a_skeleton() -> None:
    with pytest.raises(ConfigError, match="skeleton for flips"):
        PersonCrop(InputSpec((64, 64)), flip=0.5)


def test_a_person_in_a_box_needs_no_header_and_is_read_once() -> None:
    people = OnePerson(blob_person(0))
    PersonCrop(InputSpec((64, 64)))(people, 0, np.random.default_rng(0))
    assert people.asked == ["annotation", "read 1"]


@pytest.mark.parametrize(
    ("size", "fit", "shrink"),
    [
        # 200 x 150 source pixels.
        ((150, 200), "contain", 1),
        ((76, 101), "contain", 1),
        ((74, 99), "contain", 2),
        ((37, 16), "contain", 12),
        ((37, 16), "cover", 4),
        ((37, 16), "stretch", 4),
        ((16, 60), "stretch", 3),
    ],
)
@pytest.mark.parametrize("rotation", [0.0, 180.0])
def test_the_reader_is_told_how_many_source_pixels_a_crop_pixel_spans(
    size: tuple[int, int], fit: str, shrink: int, rotation: float
) -> None:
    sample = replace(blob_person(0), box=image_box((150, 200)))
    crop = PersonCrop(InputSpec(size, enlarge=1.0, fit=fit), rotation=rotation)
    for seed in range(6):
        people = OnePerson(sample)
        crop(people, 0, np.random.default_rng(seed))
        assert people.asked == ["annotation", f"read {shrink}"]


@pytest.mark.parametrize("size", [(96, 128), (48, 64)])
def test_the_whole_image_is_shown_where_the_spec_says_so(size: tuple[int, int]) -> None:
    sample = blob_person(0, size=(96, 128))
    people = OnePerson(sample)
    cropped = PersonCrop(InputSpec(size, subject="image"))(people, 0, np.random.default_rng(0))
    np.testing.assert_array_equal(cropped.crop, crop_matrix(image_box((96, 128)), size, 1.0))
    assert (cropped.visibility == 2).all()
    if size == (96, 128):
        np.testing.assert_array_equal(cropped.image, sample.image)


@pytest.mark.parametrize("box", [(40, 50, 40, 50), (0, 0, 0, 0)])
def test_a_person_with_a_single_joint_or_without_a_box_is_shown_with_the_whole_image(
    box: tuple[int, ...],
) -> None:
    sample = blob_person(3)
    sample.box[:] = box
    whole = PersonCrop(InputSpec((64, 64), subject="image"))
    found = cut(PersonCrop(InputSpec((64, 64)), box_jitter=0.2), sample)
    np.testing.assert_array_equal(found.crop, cut(whole, sample).crop)


def test_sizes_that_follow_from_the_box_hold_the_whole_box() -> None:
    for seed in range(5):
        sample = blob_person(seed)
        x0, y0, x1, y1 = sample.box
        spec = InputSpec(size=None, short_side=48, enlarge=1.0)
        height, width = cut(PersonCrop(spec), sample).mask.shape
        assert min(height, width) == 48
        assert height / width == pytest.approx((y1 - y0) / (x1 - x0), abs=0.03)


def test_the_generator_gives_nine_numbers_in_one_order_whatever_the_settings() -> None:
    for settings in SETTINGS.values():
        rng, other = np.random.default_rng(8), np.random.default_rng(8)
        PersonCrop(InputSpec((64, 64)), LSP14, **settings)(OnePerson(blob_person(0)), 0, rng)
        turn, zoom, flip = other.uniform(-1, 1), other.uniform(-1, 1), other.random()
        right, down, *edges = other.uniform(-1, 1, size=6)
        assert rng.random() == other.random()
    sample = blob_person(0)
    crop = PersonCrop(InputSpec((64, 64)), LSP14, 40.0, 0.3, 0.5, shift=0.1, box_jitter=0.2)
    sides = np.tile(sample.box[2:] - sample.box[:2], 2)
    box = (sample.box + 0.2 * np.array(edges) * (-1, -1, 1, 1) * sides).astype(np.float32)
    expected = crop_matrix(box, (64, 64), rotation=40 * turn, scale=1.3**zoom, flip=flip < 0.5)
    expected[:, 2] += 0.1 * 64 * np.array((right, down))
    np.testing.assert_allclose(cut(crop, sample, 8).crop, expected, atol=1e-4)


class InFull(LSPExtendedDataset):
    """Decodes every image in full."""

    def read(self, index: int, shrink: int = 1) -> Pixels:
        return super().read(index)


@pytest.mark.parametrize("fit", ["contain", "stretch"])
def test_an_image_decoded_at_a_reduced_scale_gives_the_same_crop(tmp_path, fit: str) -> None:
    sizes = ((301, 233), (310, 402), (603, 599))
    write_lspet(tmp_path / "lspet", count=4, sizes=sizes)
    for number in range(1, 5):
        image = smooth(sizes[(number - 1) % 3], seed=number)
        cv2.imwrite(str(tmp_path / "lspet" / "images" / f"im{number:05d}.jpg"), image)
    reduced = LSPExtendedDataset(tmp_path / "lspet", 1, 4)
    full = InFull(tmp_path / "lspet", 1, 4)
    crop = PersonCrop(InputSpec((64, 48), fit=fit), LSP14, rotation=30.0, scale=0.2, flip=0.5)
    for index in range(4):
        one, other = (
            crop(people, index, np.random.default_rng(index)) for people in (reduced, full)
        )
        assert reduced.read(index, 2).image_frame is not None
        # At the edge of the image, larger pixels are blended with the black beyond them.
        inner = np.zeros((*other.image_size, 3), dtype=np.uint8)
        inner[16:-16, 16:-16] = 255
        inner = warp_image(inner, other.crop, (64, 48)) == 255
        difference = abs(one.image.astype(int) - other.image)
        assert difference[inner].mean() < 1
        assert np.quantile(difference[inner], 0.99) < 5
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        assert one.image_size == other.image_size == full.image_size(index)


class Drawn(np.random.Generator):
    """A generator of random numbers that are known."""

    def __init__(self, numbers: np.ndarray) -> None:
        super().__init__(np.random.PCG64())
        self.numbers = numbers

    def random(self, count: int) -> np.ndarray:
        assert count == len(self.numbers)
        return self.numbers


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
@pytest.mark.parametrize("enlarge", [0.6, 1.25])
@pytest.mark.parametrize("sides", [(12, 60), (60, 12), (30, 30)])
@pytest.mark.parametrize("rotation", [0.0, 40.0])
def test_no_crop_shows_more_than_the_reach(
    fit: str, enlarge: float, sides: tuple[int, int], rotation: float
) -> None:
    sample = blob_person(0, size=(400, 600))
    width, height = sides
    sample.box = np.array([300, 200, 300 + width, 200 + height], np.float32)
    people = OnePerson(sample)
    spec = InputSpec((64, 64), enlarge=enlarge, fit=fit)
    crop = PersonCrop(spec, LSP14, rotation, scale=0.2, shift=0.1, box_jitter=0.4)
    reach, finest = crop.reach(people, 0)
    x0, y0, x1, y1 = image_box((64, 64))
    corners = np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)])
    rng = np.random.default_rng(0)
    for number in range(150):
        # Half of the draws are at the ends of all ranges, between which most crops are.
        draw = rng.random(9) if number % 2 else rng.integers(0, 2, 9) * (1 - 1e-9)
        matrix = crop(people, 0, Drawn(draw)).crop.astype(np.float64)
        assert np.linalg.norm(matrix[:, :2], axis=1).max() <= finest * 1.001
        inverse = cv2.invertAffineTransform(matrix)
        shown = corners @ inverse[:, :2].T + inverse[:, 2]
        assert (shown >= reach[:2]).all()
        assert (shown <= reach[2:]).all()
