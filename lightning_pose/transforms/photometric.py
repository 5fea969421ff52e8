"""Photometric augmentation: albumentations on the cropped picture, with chance from outside."""

import random
from collections.abc import Sequence
from dataclasses import replace

import albumentations as A
import numpy as np

from lightning_pose.batch import Example
from lightning_pose.errors import InputError

__all__ = ["Photometric"]


class Photometric:
    """Changes colours, sharpness and noise of a crop, and no geometry: that belongs to the crop.

    Args:
        transforms: Albumentations transforms of pictures alone, applied in this order.

    Raises:
        InputError: A transform would move pixels.

    Example:
        >>> Photometric([A.HorizontalFlip()])
        Traceback (most recent call last):
        ...
        lightning_pose.errors.InputError: Expected photometric transforms, ... HorizontalFlip; ...
    """

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        for transform in transforms:
            if not isinstance(transform, A.ImageOnlyTransform):
                raise InputError(
                    "Expected photometric transforms, which change the picture alone, found "
                    f"{type(transform).__name__}; remove it, and use the crop's own rotation, "
                    "scale and flip for geometry."
                )
        self.transforms = tuple(transforms)

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        """Change one crop.

        Args:
            example: The crop.
            rng: Where all chance comes from.

        Returns:
            The same with another picture.
        """
        image = example.image
        python_rng = random.Random(int(rng.integers(2**63)))  # noqa: S311  # no secret
        for transform in self.transforms:
            # Handing over generators is exact, and much cheaper than a seed for each transform.
            transform.set_random_state(rng, python_rng)
            image = transform(image=image)["image"]
        if image.dtype != np.uint8 or image.shape != example.image.shape:
            names = ", ".join(type(transform).__name__ for transform in self.transforms)
            raise InputError(
                f"Expected {names} to give an RGB picture of 8 bits and the same size, found "
                f"{image.dtype} of {image.shape}; leave out what normalises, the model does that."
            )
        return replace(example, image=image)
