import albumentations as A
import numpy as np
import pytest

from lightning_pose.errors import ConfigError
from lightning_pose.input_spec import InputSpec
from lightning_pose.transforms import PersonCrop, Photometric
from tests.transforms.people import blob_person, cut

SEVERAL = [
    A.RandomBrightnessContrast(p=0.8),
    A.HueSaturationValue(p=0.5),
    A.GaussNoise(p=0.5),
    A.ISONoise(p=0.5),
    A.GaussianBlur(p=0.5),
    A.ImageCompression(p=0.5),
    A.CoarseDropout(fill="random", p=0.5),
    A.GridDropout(fill="random_uniform", p=0.2),
]


@pytest.fixture
def cropped():
    sample = blob_person(0)
    sample.image[:] = np.random.default_rng(0).integers(0, 255, sample.image.shape)
    return cut(PersonCrop(InputSpec((64, 64))), sample)


def test_it_is_a_function_of_the_generator(cropped) -> None:
    first, second = Photometric(SEVERAL), Photometric(SEVERAL)
    forward = [first(cropped, np.random.default_rng(seed)).image for seed in range(10)]
    backward = [second(cropped, np.random.default_rng(seed)).image for seed in reversed(range(10))]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({image.tobytes() for image in forward}) > 5


def test_only_the_image_changes(cropped) -> None:
    before = cropped.image.copy()
    changed = Photometric([A.InvertImg(p=1.0)])(cropped, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.image, 255 - before)
    np.testing.assert_array_equal(cropped.image, before)
    assert changed.keypoints is cropped.keypoints
    assert changed.mask is cropped.mask
    assert changed.crop is cropped.crop


@pytest.mark.parametrize(
    "transform",
    [
        A.HorizontalFlip(),
        A.Rotate(),
        A.RandomCrop(8, 8),
        A.MaskDropout(),
        A.ConstrainedCoarseDropout(mask_indices=[1]),
    ],
)
def test_what_needs_more_than_the_image_is_refused(transform) -> None:
    with pytest.raises(ConfigError, match=type(transform).__name__):
        Photometric([A.InvertImg(), transform])


def test_what_normalises_is_refused(cropped) -> None:
    with pytest.raises(ConfigError, match=r"Normalize to give an 8-bit RGB image.*float32"):
        Photometric([A.Normalize()])(cropped, np.random.default_rng(0))


# Many small holes, so that joints lie on their edges too.
DROPOUTS = [
    A.CoarseDropout((20, 40), (2, 6), (2, 6), fill=0, p=1.0),
    A.GridDropout(ratio=0.5, unit_size_range=(4, 8), fill=0, p=1.0),
]


@pytest.mark.parametrize("dropout", DROPOUTS, ids=["coarse", "grid"])
def test_a_joint_is_occluded_where_its_pixel_is_hidden_and_stays_labelled(cropped, dropout) -> None:
    cropped.image[:] = 200
    hide, flags = Photometric([A.RandomBrightnessContrast(p=0.5), dropout]), set()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cropped.keypoints = rng.uniform(-0.49, 63.49, (14, 2)).astype(np.float32)
        cropped.visibility = rng.integers(0, 3, 14).astype(np.uint8)
        changed = hide(cropped, rng)
        columns, rows = np.floor(cropped.keypoints + 0.5).astype(int).T
        hidden = (changed.image[rows, columns] == 0).all(axis=1)
        for before, after, covered in zip(
            cropped.visibility, changed.visibility, hidden, strict=True
        ):
            assert after == (1 if before == 2 and covered else before)
            flags.add((int(before), int(after)))
        assert changed.visibility.dtype == np.uint8
        assert changed.keypoints is cropped.keypoints
        assert changed.mask is cropped.mask
    assert flags == {(0, 0), (1, 1), (2, 1), (2, 2)}


def test_a_dropout_that_chance_leaves_out_hides_nothing(cropped) -> None:
    hide = Photometric([A.CoarseDropout((1, 1), (0.9, 0.9), (0.9, 0.9), p=0.5)])
    crops = [hide(cropped, np.random.default_rng(seed)) for seed in range(20)]
    for crop in crops:
        left_out = crop.image is cropped.image
        assert (crop.visibility == cropped.visibility).all() == left_out
    assert 5 < sum(crop.image is cropped.image for crop in crops) < 15


@pytest.mark.parametrize("value", [0, 0.0, (1.0,)])
def test_a_dropout_that_cuts_the_mask_is_refused(value) -> None:
    with pytest.raises(ConfigError, match=r"CoarseDropout without fill_mask.*found"):
        Photometric([A.CoarseDropout(fill_mask=value)])


def test_holes_that_are_larger_than_the_crop_are_refused(cropped) -> None:
    hide = Photometric([A.CoarseDropout((1, 1), (300, 400), (300, 400), p=1.0)])
    with pytest.raises(ConfigError, match=r"CoarseDropout to work on a crop of 64 x 64 pixels"):
        hide(cropped, np.random.default_rng(0))
