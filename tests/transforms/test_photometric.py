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


@pytest.mark.parametrize("transform", [A.HorizontalFlip(), A.Rotate(), A.RandomCrop(8, 8)])
def test_what_moves_pixels_is_refused(transform) -> None:
    with pytest.raises(ConfigError, match=type(transform).__name__):
        Photometric([A.InvertImg(), transform])


def test_what_normalises_is_refused(cropped) -> None:
    with pytest.raises(ConfigError, match=r"Normalize to give an 8-bit RGB image.*float32"):
        Photometric([A.Normalize()])(cropped, np.random.default_rng(0))
