"""Picture and mask files: decoded in full or refused by name, never half and in silence."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int8, UInt8
from PIL import ExifTags, Image

from lightning_pose.errors import InputError

__all__ = ["read_mask", "read_picture"]


def read_picture(path: Path) -> UInt8[np.ndarray, "H0 W0 3"]:
    """Read a picture as RGB, turned upright as its EXIF orientation says.

    Grey pictures, palettes, CMYK and 16 bits a pixel become 8-bit RGB; alpha is left out, and of
    an animation the first picture is taken. A picture whose EXIF is damaged stays as it lies.
    Pillow decodes, since it reports a truncated file, where OpenCV fills the rest with grey and
    torchvision has announced the end of its decoders.

    Args:
        path: A JPEG, PNG, WebP or whatever else Pillow knows.

    Returns:
        The picture.

    Raises:
        InputError: The file is missing, truncated or not a picture.
    """
    return _decode(path, "RGB")


def read_mask(path: Path, picture: Path, size: tuple[int, int]) -> Int8[np.ndarray, "H0 W0"]:
    """Read a person's mask, in which 0 is background and 255 the person.

    Args:
        path: The mask's file, usually a PNG.
        picture: The file that the mask belongs to, for messages.
        size: Height and width of that picture in pixels.

    Returns:
        1 on the person, 0 elsewhere.

    Raises:
        InputError: The file cannot be read, is not of the picture's size, or is not 0 and 255.
    """
    grey = _decode(path, "L")
    if grey.shape != size:
        raise InputError(
            f"Expected the mask {path} to have the size of its picture {picture}, "
            f"{size[1]} x {size[0]} pixels, found {grey.shape[1]} x {grey.shape[0]}; "
            "make the mask again, or remove it to leave this person without one."
        )
    if 0 < grey.max() <= 127:
        raise InputError(
            f"Expected 255 for the person in the mask {path}, found at most {grey.max()}; "
            "write 0 for the background and 255 for the person."
        )
    return (grey > 127).view(np.int8)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What stands a picture upright, by EXIF's orientation.

Pillow's own `exif_transpose` also writes the rest of the EXIF anew, and fails where that is odd.
"""


def _orientation(file: Image.Image) -> int:
    try:
        return int(file.getexif().get(ExifTags.Base.Orientation, 1))
    # What Pillow's parser runs into where EXIF is damaged; the picture itself may be whole.
    except (OSError, SyntaxError, TypeError, ValueError, struct.error):
        return 1


def _decode(path: Path, mode: str) -> UInt8[np.ndarray, "H0 W0 *C"]:
    try:
        with Image.open(path) as file:
            # First, since Pillow looks for a PNG's EXIF behind its pixels, and says only once, to
            # whoever is first, that these are damaged.
            file.load()
            turn = _TURNS.get(_orientation(file))
            image: Image.Image = file if turn is None else file.transpose(turn)
            if image.mode in ("I", "F"):
                raise ValueError("32 bits a pixel, whose range is not known")
            if image.mode.startswith("I;16"):
                # Pillow would clip what does not fit into a byte: keep the upper half instead.
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            elif "transparency" in image.info:
                # Only through alpha does Pillow know what a transparent palette entry means.
                image = image.convert("RGBA")
            return np.asarray(image if image.mode == mode else image.convert(mode))
    # Pillow reports a damaged file by whichever of these its parser runs into.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"Expected a whole picture in {path}, found that it cannot be read ({reason}); "
            "replace or remove this file."
        ) from error
