"""Mask files: a person in white on black, or refused with the file's name."""

from pathlib import Path

import numpy as np
from jaxtyping import Int8, UInt8, UInt16

from lightning_pose.datasets.images import image_size, read_image, read_values
from lightning_pose.errors import DataError
from lightning_pose.sample import Pixels

__all__ = ["read_image_and_mask", "read_mask"]

# By how much the channels of a grey pixel may differ after a lossy compression.
_TINT = 32


def read_image_and_mask(image: Path, mask: Path | None = None, *, shrink: int = 1) -> Pixels:
    """Read a person's image and, if there is one, the mask.

    Args:
        image: The image's file.
        mask: The mask's file.
        shrink: How much smaller the image may be, see `read_image`; the mask is never smaller.

    Returns:
        The pixels.

    Raises:
        DataError: The image or the mask cannot be read, or they differ in size.
    """
    pixels, frame = read_image(image, shrink)
    if mask is None:
        return Pixels(image=pixels, image_frame=frame)
    size = (pixels.shape[0], pixels.shape[1]) if frame is None else image_size(image)
    return Pixels(image=pixels, mask=read_mask(mask, image, size), image_frame=frame)


def read_mask(path: Path, image: Path, size: tuple[int, int]) -> Int8[np.ndarray, "H0 W0"]:
    """Read a person's mask, in which 0 is background and 255 the person.

    In 16 bits, the person may be 255 or 65535. A palette and three channels are read as well, if
    their colours are greys.

    Args:
        path: The mask's file, usually a PNG.
        image: The image that the mask belongs to, for error messages.
        size: Height and width of that image in pixels.

    Returns:
        1 where the mask is above 127, 0 elsewhere.

    Raises:
        DataError: The file cannot be read, differs from the image in size, is in colour, has values
            above 0 but none above 127, or has 16 bits and other values.
    """
    values = read_values(path)
    grey = _grey(values, path) if values.ndim == 3 else values
    if grey.shape != size:
        raise DataError(
            f"Expected the mask {path} to have the size of its image {image}, "
            f"{size[1]} x {size[0]} pixels, found {grey.shape[1]} x {grey.shape[0]}; "
            "make the mask again, or remove it to leave this person without one."
        )
    if grey.dtype == np.uint16:
        _check_two_values(grey, path)
    elif 0 < grey.max() <= 127:
        raise DataError(
            f"Expected 255 for the person in the mask {path}, found at most {grey.max()}; "
            "write 0 for the background and 255 for the person."
        )
    return (grey > 127).view(np.int8)


def _grey(colours: UInt8[np.ndarray, "h w 3"], path: Path) -> UInt8[np.ndarray, "h w"]:
    """The grey of three channels, which a mask in colour does not have."""
    red, green, blue = np.moveaxis(colours, 2, 0)
    brightest: UInt8[np.ndarray, "h w"] = np.maximum(np.maximum(red, green), blue)
    if (brightest - np.minimum(np.minimum(red, green), blue)).max() > _TINT:
        raise DataError(
            f"Expected black and white in the mask {path}, found a mask in colour; write 0 for the "
            "background and 255 for the person."
        )
    return brightest


def _check_two_values(grey: UInt16[np.ndarray, "h w"], path: Path) -> None:
    """Refuse what may be labels, depths or greys instead of black and white."""
    found = np.unique(grey).tolist()
    if not (set(found) <= {0, 255} or set(found) <= {0, 65535}):
        listed = ", ".join(map(str, found[:4])) + ", ..." * (len(found) > 4)
        raise DataError(
            f"Expected 0 and either 255 or 65535 in the mask {path} of 16 bits, found {listed}; "
            "write 0 for the background and 255 for the person."
        )
