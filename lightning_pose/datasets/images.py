"""Picture and mask files: decoded in full or refused by name, never half and in silence."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int8, UInt8
from torchvision.io import ImageReadMode, decode_image

from lightning_pose.errors import InputError

__all__ = ["read_mask", "read_picture"]


def read_picture(path: Path) -> UInt8[np.ndarray, "H0 W0 3"]:
    """Read a picture as RGB, turned upright as its EXIF orientation says.

    Grey pictures, palettes, CMYK and 16 bits a channel become 8-bit RGB; alpha is left out.

    Args:
        path: A JPEG, PNG, WebP or GIF file.

    Returns:
        The picture.

    Raises:
        InputError: The file is missing, truncated, animated or not a picture.
    """
    return _decode(path, ImageReadMode.RGB)


def read_mask(path: Path, picture: Path, size: tuple[int, int]) -> Int8[np.ndarray, "H0 W0"]:
    """Read a person's mask, in which 0 is background and 255 the person.

    Args:
        path: The mask's file, usually a PNG.
        picture: The file that the mask belongs to, for messages.
        size: Height and width of that picture in pixels.

    Returns:
        1 on the person, 0 elsewhere.

    Raises:
        InputError: The file cannot be read, or is not of the picture's size.
    """
    grey = _decode(path, ImageReadMode.GRAY)[:, :, 0]
    if grey.shape != size:
        raise InputError(
            f"Expected the mask {path} to have the size of its picture {picture}, "
            f"{size[1]} x {size[0]} pixels, found {grey.shape[1]} x {grey.shape[0]}; "
            "make the mask again, or remove it to leave this person without one."
        )
    return (grey > 127).view(np.int8)


def _decode(path: Path, mode: ImageReadMode) -> UInt8[np.ndarray, "H0 W0 C"]:
    try:
        # A bytearray, because torch warns of buffers that it must not write to.
        data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        decoded = decode_image(data, mode=mode, apply_exif_orientation=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"Expected a whole picture in {path}, found that it cannot be read ({reason}); "
            "replace or remove this file."
        ) from error
    if decoded.ndim != 3:
        raise InputError(
            f"Expected a single picture in {path}, found an animation; replace it by one frame."
        )
    if decoded.dtype == torch.uint16:
        decoded = (decoded.to(torch.int32) >> 8).to(torch.uint8)
    # Decoders write channels last and torchvision shows that as channels first: back to (H, W, C).
    return np.ascontiguousarray(decoded.permute(1, 2, 0).numpy())
