from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from lightning_pose.batch import Sample
from lightning_pose.errors import InputError
from lightning_pose.geometry import apply_affine, invert_affine, picture_box, transform_points
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop


def blob_person(seed: int, size: tuple[int, int] = (150, 200), sigma: float = 2.0) -> Sample:
    """A person whose left wrist (joint 11) is a soft bright blob, and whose mask is known."""
    rng = np.random.default_rng(seed)
    height, width = size
    keypoints = rng.uniform((60, 40), (width - 60, height - 40), (14, 2)).astype(np.float32)
    rows, columns = np.mgrid[:height, :width]
    x, y = keypoints[11]
    blob = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    image = np.repeat(np.round(blob)[..., None], 3, axis=2).astype(np.uint8)
    mask = np.zeros(size, dtype=np.int8)
    mask[30:120, 50:150] = 1
    return Sample(
        image=image,
        keypoints=keypoints,
        visibility=np.full(14, 2, dtype=np.uint8),
        mask=mask,
        box=np.concatenate((keypoints.min(0), keypoints.max(0))),
        head_size=1.0,
        torso_size=1.0,
        area=float(mask.sum()),
        person_id=seed,
        image_id=f"{seed}.png",
    )


def centre_of_brightness(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


SETTINGS = {
    "plain": {},
    "turned": {"rotation": 180.0},
    "scaled": {"scale": 0.3},
    "mirrored": {"flip": 1.0},
    "all": {"rotation": 180.0, "scale": 0.3, "flip": 0.5},
}


@pytest.mark.parametrize("size", [(128, 128), (97, 64), (255, 191)])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_points_and_picture_agree(settings: dict[str, float], size: tuple[int, int]) -> None:
    crop = PersonCrop(size, LSP14, enlarge=2.0, **settings)
    for seed in range(8):
        sample = blob_person(seed)
        example = crop(sample, np.random.default_rng(seed))
        mirrored = np.linalg.det(example.crop[:, :2]) < 0
        joint = LSP14.flip_order[11] if mirrored else 11
        assert example.visibility[joint] == 2
        distance = centre_of_brightness(example.image) - example.keypoints[joint]
        assert np.abs(distance).max() < 0.1


def test_a_crop_that_shrinks_keeps_points_and_picture_together() -> None:
    for shrink in (2.3, 3.0, 5.7):
        sample = blob_person(3, size=(151, 203), sigma=7.0)
        size = (int(151 / shrink), int(203 / shrink))
        wide = replace(sample, box=np.array([-0.5, -0.5, 202.5, 150.5], dtype=np.float32))
        example = PersonCrop(size, enlarge=1.0)(wide, np.random.default_rng(0))
        distance = centre_of_brightness(example.image) - example.keypoints[11]
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
    inner = PersonCrop((50, 50), enlarge=1.0)(sample, np.random.default_rng(0)).image[2:-2, 2:-2]
    assert abs(inner.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_inverse_crop_gives_the_source_points(settings: dict[str, float]) -> None:
    crop = PersonCrop((128, 96), LSP14, enlarge=2.0, **settings)
    for seed in range(8):
        example = crop(blob_person(seed), np.random.default_rng(seed))
        matrix = torch.from_numpy(example.crop)[None]
        points = torch.from_numpy(example.keypoints)[None]
        source = apply_affine(invert_affine(matrix), points)[0].numpy()
        if np.linalg.det(example.crop[:, :2]) < 0:
            source = source[LSP14.flip_order]
        assert (example.visibility > 0).all()
        np.testing.assert_allclose(source, example.source.keypoints, atol=1e-3)


def test_a_flip_mirrors_the_crop_and_swaps_left_and_right() -> None:
    sample = blob_person(1)
    sample.visibility[:] = np.arange(14) % 2 + 1
    plain = PersonCrop((64, 49), LSP14)(sample, np.random.default_rng(0))
    mirrored = PersonCrop((64, 49), LSP14, flip=1.0)(sample, np.random.default_rng(0))
    left, right = LSP14.names.index("left_knee"), LSP14.names.index("right_knee")
    assert mirrored.keypoints[right, 0] == pytest.approx(48 - plain.keypoints[left, 0], abs=1e-4)
    assert mirrored.keypoints[right, 1] == pytest.approx(plain.keypoints[left, 1], abs=1e-4)
    assert mirrored.visibility[right] == plain.visibility[left]
    assert abs(mirrored.image[:, ::-1].astype(int) - plain.image).max() <= 2
    assert (mirrored.mask[:, ::-1] != plain.mask).mean() < 0.02
    np.testing.assert_array_equal(mirrored.source.keypoints, sample.keypoints)


def test_joints_that_leave_the_crop_become_unlabelled_here_and_not_in_the_source() -> None:
    sample = blob_person(2)
    sample.visibility[0] = 0
    sample.keypoints[0] = 0
    # The box that ends at the wrist, taken as it is: about half of the joints lie beyond it.
    sample.box[2] = sample.keypoints[11, 0] + 0.01
    before = sample.keypoints.copy()
    example = PersonCrop((64, 64), enlarge=0.5)(sample, np.random.default_rng(0))
    out = example.visibility == 0
    assert 2 <= out.sum() < 14
    assert not example.keypoints[out].any()
    assert ((example.keypoints[~out] >= -0.5) & (example.keypoints[~out] < 63.5)).all()
    np.testing.assert_array_equal(sample.keypoints, before)
    assert sample.visibility.tolist() == [0] + [2] * 13


def test_beyond_the_picture_is_black_and_background_where_there_is_a_mask() -> None:
    sample = blob_person(0)
    sample.image[:] = 200
    sample.mask[:] = 1
    sample.box[:] = (-100, -100, 100, 100)
    example = PersonCrop((80, 80), enlarge=1.0)(sample, np.random.default_rng(0))
    assert (example.image[:38, :38] == 0).all()
    assert (example.mask[:39, :39] == 0).all()
    assert (example.image[42:, 42:] == 200).all()
    assert (example.mask[41:, 41:] == 1).all()


def test_unknown_pixels_stay_unknown_and_no_mask_is_unknown_everywhere() -> None:
    sample = blob_person(0)
    sample.mask[:, :100] = -1
    sample.box[:] = (-0.5, -0.5, 199.5, 149.5)
    example = PersonCrop((75, 100), enlarge=1.0)(sample, np.random.default_rng(0))
    assert (example.mask[:, :49] == -1).all()
    assert set(np.unique(example.mask[:, 51:])) == {0, 1}
    sample.mask[:] = -1
    sample.box[:] = (-100, -100, 100, 100)
    assert (PersonCrop((75, 100))(sample, np.random.default_rng(0)).mask == -1).all()


def test_the_mask_is_where_the_picture_is() -> None:
    sample = blob_person(0)
    sample.image[:] = sample.mask[..., None] * np.uint8(255)
    crop = PersonCrop((128, 128), LSP14, rotation=90.0, scale=0.3, flip=0.5)
    for seed in range(6):
        example = crop(sample, np.random.default_rng(seed))
        assert ((example.image[..., 0] > 127) != (example.mask == 1)).mean() < 0.005


def test_the_crop_is_one_warp_of_bare_opencv() -> None:
    sample = blob_person(4)
    example = PersonCrop((128, 128), enlarge=1.0)(sample, np.random.default_rng(0))
    expected = cv2.warpAffine(sample.image, example.crop, (128, 128), flags=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(example.image, expected)


def test_evaluation_leaves_nothing_to_chance_and_training_follows_its_generator() -> None:
    sample = blob_person(5)
    plain = PersonCrop((64, 64))
    np.testing.assert_array_equal(
        plain(sample, np.random.default_rng(0)).crop, plain(sample, np.random.default_rng(1)).crop
    )
    chance = PersonCrop((64, 64), LSP14, rotation=30.0, scale=0.2, flip=0.5)
    crops = [chance(sample, np.random.default_rng(seed)).crop for seed in (0, 0, 1)]
    np.testing.assert_array_equal(crops[0], crops[1])
    assert not np.allclose(crops[0], crops[2])


def test_chance_stays_within_its_settings_and_uses_them() -> None:
    sample = blob_person(6)
    plain = PersonCrop((64, 64))(sample, np.random.default_rng(0)).crop
    base = np.sqrt(np.linalg.det(plain[:, :2]))
    crop = PersonCrop((64, 64), LSP14, rotation=30.0, scale=0.25, flip=0.5)
    matrices = [crop(sample, np.random.default_rng(s)).crop[:, :2] for s in range(400)]
    zooms = np.array([np.sqrt(abs(np.linalg.det(m))) / base for m in matrices])
    mirrored = np.array([np.linalg.det(m) < 0 for m in matrices])
    angles = np.degrees([np.arctan2(m[1, 0], m[1, 1]) for m in matrices])
    assert 0.799 < zooms.min() < 0.82
    assert 1.22 < zooms.max() < 1.251
    assert -30.01 < angles.min() < -28
    assert 28 < angles.max() < 30.01
    assert 0.4 < mirrored.mean() < 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 1.5}, "flip from 0 to 1, found 1.5"),
        ({"rotation": -1.0}, "rotation from 0 to 180, found -1.0"),
        ({"scale": -0.1}, "scale"),
        ({"enlarge": 0.0}, "enlarge"),
        ({"input_size": (0, 64)}, "input_size"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PersonCrop(**{"input_size": (64, 64), "skeleton": LSP14, **settings})


def test_a_flip_needs_a_skeleton() -> None:
    with pytest.raises(InputError, match="skeleton for flips"):
        PersonCrop((64, 64), flip=0.5)


def test_a_picture_that_shrinks_keeps_its_last_rows_and_columns() -> None:
    # 999 and 777 are no multiples of the blocks that are averaged before the warp.
    picture = np.full((999, 777, 3), 255, dtype=np.uint8)
    sample = Sample(
        image=picture,
        keypoints=np.zeros((0, 2), dtype=np.float32),
        visibility=np.zeros(0, dtype=np.uint8),
        mask=np.full((999, 777), -1, dtype=np.int8),
        box=picture_box((999, 777)),
        head_size=0.0,
        torso_size=0.0,
        area=0.0,
        person_id=0,
        image_id="white",
    )
    crop = PersonCrop((128, 128), enlarge=1.0)(sample, np.random.default_rng(0))
    left, top = transform_points(crop.crop, np.array([[0, 0]], dtype=np.float32))[0]
    right, bottom = transform_points(crop.crop, np.array([[776, 998]], dtype=np.float32))[0]
    rows, columns = np.mgrid[:128, :128]
    inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
    # The outermost pixel is blended with the black beside it, and no more than that.
    assert crop.image[inside].min() > 192
