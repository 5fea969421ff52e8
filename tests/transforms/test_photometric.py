import albumentations as A
import numpy as np
import pytest

from lightning_pose.errors import InputError
from lightning_pose.transforms import PersonCrop, Photometric
from tests.transforms.test_crop import blob_person

SEVERAL = [
    A.RandomBrightnessContrast(p=0.8),
    A.HueSaturationValue(p=0.5),
    A.GaussNoise(p=0.5),
    A.ISONoise(p=0.5),
    A.GaussianBlur(p=0.5),
    A.ImageCompression(p=0.5),
]


@pytest.fixture
def example():
    sample = blob_person(0)
    sample.image[:] = np.random.default_rng(0).integers(0, 255, sample.image.shape)
    return PersonCrop((64, 64))(sample, np.random.default_rng(0))


def test_it_is_a_function_of_the_generator(example) -> None:
    first, second = Photometric(SEVERAL), Photometric(SEVERAL)
    forward = [first(example, np.random.default_rng(seed)).image for seed in range(10)]
    backward = [second(example, np.random.default_rng(seed)).image for seed in reversed(range(10))]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({image.tobytes() for image in forward}) > 5


def test_only_the_picture_changes(example) -> None:
    before = example.image.copy()
    changed = Photometric([A.InvertImg(p=1.0)])(example, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.image, 255 - before)
    np.testing.assert_array_equal(example.image, before)
    assert changed.keypoints is example.keypoints
    assert changed.mask is example.mask
    assert changed.crop is example.crop


@pytest.mark.parametrize("transform", [A.HorizontalFlip(), A.Rotate(), A.RandomCrop(8, 8)])
def test_what_moves_pixels_is_refused(transform) -> None:
    with pytest.raises(InputError, match=type(transform).__name__):
        Photometric([A.InvertImg(), transform])


def test_what_normalises_is_refused(example) -> None:
    with pytest.raises(InputError, match=r"Normalize to give an RGB picture of 8 bits.*float32"):
        Photometric([A.Normalize()])(example, np.random.default_rng(0))
