"""Augmentation of the pixels of a crop: albumentations, with a given generator."""

import random
from collections.abc import Sequence
from dataclasses import replace

import albumentations as A
import numpy as np
from jaxtyping import Float32, Int, UInt8

from lightning_pose.errors import ConfigError
from lightning_pose.sample import CroppedSample

__all__ = ["Photometric"]

_DROPOUTS = (A.CoarseDropout, A.GridDropout)
"""Albumentations does not count these as transforms of images alone: they can cut the mask too."""


class Photometric:
    """Changes the pixels of a crop where they are; its geometry is up to `PersonCrop`.

    Besides colours, sharpness and noise, this is occlusion: `CoarseDropout` hides rectangles of the
    crop, as Cutout (DeVries and Taylor, 2017) and Random Erasing (Zhong et al., AAAI 2020) do, and
    `GridDropout` a grid of them, as GridMask (Chen et al., 2020). A joint in a hidden rectangle
    stays labelled, as an occluded joint of COCO, with visibility 1, and the mask still shows the
    whole person, so that the network learns to infer what it cannot see.

    Args:
        transforms: Albumentations transforms of images alone, and `CoarseDropout` and
            `GridDropout`, applied in this order.

    Raises:
        ConfigError: A transform would move pixels or cut the mask.

    Example:
        >>> Photometric([A.HorizontalFlip()])
        Traceback (most recent call last):
        ...
        lightning_pose.errors.ConfigError: Expected photometric transforms, ... HorizontalFlip; ...
    """

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        for transform in transforms:
            name = type(transform).__name__
            if not isinstance(transform, (A.ImageOnlyTransform, *_DROPOUTS)):
                raise ConfigError(
                    "Expected photometric transforms, which change the image alone, CoarseDropout "
                    f"or GridDropout, found {name}; remove it, and use the crop's own rotation, "
                    "scale and flip for geometry."
                )
            if isinstance(transform, _DROPOUTS) and transform.fill_mask is not None:
                raise ConfigError(
                    f"Expected {name} without fill_mask, because masks show the whole person, "
                    f"found {transform.fill_mask}; remove fill_mask."
                )
        self.transforms = tuple(transforms)

    def __call__(self, sample: CroppedSample, rng: np.random.Generator) -> CroppedSample:
        """Change one crop.

        Args:
            sample: The crop.
            rng: The source of all randomness.

        Returns:
            The same crop with another image, and with visibility 1 for joints that are now hidden.

        Raises:
            ConfigError: A transform rejects the crop, or does not return an 8-bit RGB image of the
                same size.
        """
        image, visibility = sample.image, sample.visibility
        python_rng = random.Random(int(rng.integers(2**63)))  # noqa: S311  # no secret
        for transform in self.transforms:
            # Passing generators is exact, and much cheaper than seeding each transform.
            transform.set_random_state(rng, python_rng)
            try:
                image = transform(image=image)["image"]
            # Such as for holes that are larger than the crop.
            except ValueError as error:
                height, width = image.shape[:2]
                raise ConfigError(
                    f"Expected {type(transform).__name__} to work on a crop of {width} x {height} "
                    f"pixels, found that it does not ({error}); correct its settings."
                ) from error
            # It has no holes where chance has left it out.
            if isinstance(transform, _DROPOUTS) and "holes" in transform.params:
                visibility = _hide(sample.keypoints, visibility, transform.params["holes"])
        if image.dtype != np.uint8 or image.shape != sample.image.shape:
            names = ", ".join(type(transform).__name__ for transform in self.transforms)
            raise ConfigError(
                f"Expected {names} to give an 8-bit RGB image of the same size, found "
                f"{image.dtype} of {image.shape}; leave out normalisation, the model does that."
            )
        return replace(sample, image=image, visibility=visibility)


def _hide(
    keypoints: Float32[np.ndarray, "K 2"],
    visibility: UInt8[np.ndarray, " K"],
    holes: Int[np.ndarray, "N 4"],
) -> UInt8[np.ndarray, " K"]:
    """Mark the joints as occluded whose pixels are in a hole: columns x0 to x1 - 1, rows alike."""
    x, y = np.rint(keypoints).T[:, :, None]
    x0, y0, x1, y1 = holes.T
    hidden = ((x >= x0) & (x < x1) & (y >= y0) & (y < y1)).any(axis=1)
    return np.where(hidden, np.minimum(visibility, 1), visibility)
