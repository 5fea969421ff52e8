"""Photometric augmentation: albumentations on the cropped image, with a given generator."""

import random
from collections.abc import Sequence
from dataclasses import replace

import albumentations as A
import numpy as np

from lightning_pose.errors import ConfigError
from lightning_pose.sample import CroppedSample

__all__ = ["Photometric"]


class Photometric:
    """Changes the colours, sharpness and noise of a crop; its geometry is up to `PersonCrop`.

    Args:
        transforms: Albumentations transforms of images alone, applied in this order.

    Raises:
        ConfigError: A transform would move pixels.

    Example:
        >>> Photometric([A.HorizontalFlip()])
        Traceback (most recent call last):
        ...
        lightning_pose.errors.ConfigError: Expected photometric transforms, ... HorizontalFlip; ...
    """

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        for transform in transforms:
            if not isinstance(transform, A.ImageOnlyTransform):
                raise ConfigError(
                    "Expected photometric transforms, which change the image alone, found "
                    f"{type(transform).__name__}; remove it, and use the crop's own rotation, "
                    "scale and flip for geometry."
                )
        self.transforms = tuple(transforms)

    def __call__(self, sample: CroppedSample, rng: np.random.Generator) -> CroppedSample:
        """Change one crop.

        Args:
            sample: The crop.
            rng: The source of all randomness.

        Returns:
            The same crop with another image.

        Raises:
            ConfigError: A transform does not return an 8-bit RGB image of the same size.
        """
        image = sample.image
        python_rng = random.Random(int(rng.integers(2**63)))  # noqa: S311  # no secret
        for transform in self.transforms:
            # Passing generators is exact, and much cheaper than seeding each transform.
            transform.set_random_state(rng, python_rng)
            image = transform(image=image)["image"]
        if image.dtype != np.uint8 or image.shape != sample.image.shape:
            names = ", ".join(type(transform).__name__ for transform in self.transforms)
            raise ConfigError(
                f"Expected {names} to give an 8-bit RGB image of the same size, found "
                f"{image.dtype} of {image.shape}; leave out normalisation, the model does that."
            )
        return replace(sample, image=image)
