"""Image files: decoded completely, or refused with the file's name."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import Float32, UInt8, UInt16
from PIL import ExifTags, Image

from lightning_pose.errors import DataError
from lightning_pose.geometry import crop_matrix, image_box

__all__ = ["image_size", "image_suffixes", "read_image", "read_values", "to_rgb"]

_Values = UInt8[np.ndarray, "h w *C"] | UInt16[np.ndarray, "h w"]


def read_image(
    path: Path, shrink: int = 1
) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "2 3"] | None]:
    """Read an image as RGB, turned upright by its EXIF orientation.

    Greyscale, palette, CMYK and 16-bit images become 8-bit RGB; alpha is dropped, and only the
    first frame of an animation is read. An image with damaged EXIF is not turned. JPEGs in the
    common form are decoded by simplejpeg, which is fast and reports any damage, and all other files
    by Pillow, which reports truncated ones: OpenCV fills the rest with grey, and torchvision has
    announced the end of its decoders.

    Args:
        path: A JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or JPEG 2000 file.
        shrink: How much smaller the image may be. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size,
            the smallest that `shrink` allows, which skips most of the work; other files are decoded
            at full size.

    Returns:
        The image, and the affine matrix from source pixels to its pixels; None is the identity.

    Raises:
        DataError: The file is missing, truncated or not an image.
    """
    image, frame = _decode(path, "RGB", shrink)
    return image, frame


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """Convert an image of Pillow as `read_image` converts a file.

    Args:
        image: The image, loaded or not.

    Returns:
        RGB, turned upright.

    Raises:
        DataError: Its file is damaged, or its pixels have a range that is not known.

    Example:
        >>> to_rgb(Image.new("L", (2, 1), 7)).tolist()
        [[[7, 7, 7], [7, 7, 7]]]
    """
    try:
        if image.format not in (None, *_formats()):
            raise ValueError(f"{image.format} is not one of {', '.join(_formats())}")
        image.load()
        return _upright(image, "RGB")
    except _DAMAGE as error:
        raise _refusal(getattr(image, "filename", "") or "the PIL image", error) from error


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of the upright image in pixels, read from the file's header.

    TIFFs, and PNGs without EXIF before their pixels, are decoded, because only then is their
    orientation known.

    Args:
        path: An image that `read_image` can read.

    Returns:
        The shape of what `read_image` returns at full size.

    Raises:
        DataError: The file is missing or not an image.
    """
    try:
        with Image.open(path, formats=_formats()) as file:
            if file.format == "TIFF":
                file.load()  # Pillow turns it itself, then drops the orientation.
            if _turn(file).swaps:
                return file.width, file.height
            return file.height, file.width
    except _DAMAGE as error:
        raise _refusal(path, error) from error


def read_values(path: Path) -> _Values:
    """Read the values of an image whose pixels are labels, such as a mask.

    Args:
        path: A file as for `read_image`.

    Returns:
        Grey in 8 or 16 bits if the file is grey, else RGB, turned upright.

    Raises:
        DataError: The file is missing, truncated or not an image, or pixels are bright and
            transparent, so that it is not known which of the two is their label.
    """
    return _decode(path, None)[0]


class _Turn(NamedTuple):
    """How to turn an image upright, and what this does to the axes."""

    method: Image.Transpose | None
    swaps: bool  # height and width are swapped
    mirrors_x: bool  # the left edge of the result was a right or lower edge
    mirrors_y: bool


_UPRIGHT = _Turn(None, swaps=False, mirrors_x=False, mirrors_y=False)

# Pillow's own `exif_transpose` also rewrites the rest of the EXIF, and fails if it is malformed.
_TURNS = {
    2: _Turn(Image.Transpose.FLIP_LEFT_RIGHT, swaps=False, mirrors_x=True, mirrors_y=False),
    3: _Turn(Image.Transpose.ROTATE_180, swaps=False, mirrors_x=True, mirrors_y=True),
    4: _Turn(Image.Transpose.FLIP_TOP_BOTTOM, swaps=False, mirrors_x=False, mirrors_y=True),
    5: _Turn(Image.Transpose.TRANSPOSE, swaps=True, mirrors_x=False, mirrors_y=False),
    6: _Turn(Image.Transpose.ROTATE_270, swaps=True, mirrors_x=True, mirrors_y=False),
    7: _Turn(Image.Transpose.TRANSVERSE, swaps=True, mirrors_x=True, mirrors_y=True),
    8: _Turn(Image.Transpose.ROTATE_90, swaps=True, mirrors_x=False, mirrors_y=True),
}
"""By EXIF's orientation."""


def _turn(file: Image.Image) -> _Turn:
    try:
        return _TURNS.get(int(file.getexif().get(ExifTags.Base.Orientation, 1)), _UPRIGHT)
    # The image itself may be intact.
    except _DAMAGE:
        return _UPRIGHT


def _decode(
    path: Path, mode: str | None, shrink: int = 1
) -> tuple[_Values, Float32[np.ndarray, "2 3"] | None]:
    try:
        data = path.read_bytes()
        if mode == "RGB" and (found := _decode_jpeg(data, shrink)) is not None:
            return found
        with Image.open(BytesIO(data), formats=_formats()) as file:
            full = file.size
            factor = _factor(shrink, full)
            if factor > 1:
                # A request that only JPEGs honour.
                file.draft(None, (full[0] // factor, full[1] // factor))
            small = file.size
            # Before reading EXIF: Pillow looks for a PNG's EXIF after its pixels, and reports
            # damaged pixels only once, to the first caller.
            file.load()
            frame = None if small == full else _frame(full, small, factor, _turn(file))
            return _upright(file, mode), frame
    except _DAMAGE as error:
        raise _refusal(path, error) from error


def _decode_jpeg(
    data: bytes, shrink: int
) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "2 3"] | None] | None:
    """Decode a JPEG in the common form; None for all others and for whatever may be damaged.

    The pixels are those of Pillow, which uses the same library, but is slower by a factor of 1.7.
    """
    # An orientation is in EXIF or in XMP.
    if not data.startswith(b"\xff\xd8\xff") or b"Exif" in data or b"rientation" in data:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours != "YCbCr" or height * width > _MOST_PIXELS:
            return None
        factor = _factor(shrink, (width, height))
        least = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
        # Strictly: even damage that a decoder can hide is left to Pillow, which decides.
        image = simplejpeg.decode_jpeg(data, "RGB", **least if factor > 1 else {})
    except ValueError:
        return None
    small = (image.shape[1], image.shape[0])
    full = (width, height)
    return image, None if small == full else _frame(full, small, factor, _UPRIGHT)


def _factor(shrink: int, size: tuple[int, int]) -> int:
    """By how much a JPEG of a size, (width, height), is decoded smaller."""
    return next(factor for factor in (8, 4, 2, 1) if factor <= max(1, min(shrink, *size)))


def _upright(file: Image.Image, mode: str | None) -> _Values:
    """The pixels of a loaded image, turned upright and converted.

    Without a mode, they are grey in 8 or 16 bits where the file is, and otherwise RGB.
    """
    method = _turn(file).method
    image = file if method is None else file.transpose(method)
    if mode is None and image.has_transparency_data:
        colours = np.asarray(image.convert("RGBA"))
        if ((colours[:, :, 3] < 255) & (colours[:, :, :3].max(axis=2) > 127)).any():
            raise ValueError("pixels that are bright and transparent; save it without transparency")
    if file.format == "PPM" and image.mode == "I":  # 16 bits, which Pillow holds in 32.
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per pixel, whose range is not known")
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)  # In this machine's order of bytes.
        if mode is None:
            return values
        # Pillow would clip what does not fit into a byte; keep the upper byte instead.
        image = Image.fromarray((values >> 8).astype(np.uint8))
    elif "transparency" in image.info:
        # Pillow only resolves a transparent palette entry through alpha.
        image = image.convert("RGBA")
    mode = mode or ("L" if image.mode in ("1", "L") else "RGB")
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _frame(
    full: tuple[int, int], small: tuple[int, int], factor: int, turn: _Turn
) -> Float32[np.ndarray, "2 3"]:
    """From source pixels to pixels of an image that was decoded at 1 / factor and then turned."""
    # The decoder pads the last block of each row and column beyond the right and lower edges of the
    # stored image; turning moves these edges.
    sides = []
    for length, cells in zip(full, small, strict=True):
        sides.append((length, cells, cells * factor - length))
    (width, columns, right), (height, rows, below) = reversed(sides) if turn.swaps else sides
    left, right = (right, 0) if turn.mirrors_x else (0, right)
    above, below = (below, 0) if turn.mirrors_y else (0, below)
    padding = np.array([-left, -above, right, below], dtype=np.float32)
    return crop_matrix(image_box((height, width)) + padding, (rows, columns), enlarge=1.0)


# A decoder may raise anything for a damaged file: Pillow's documentation does not limit it.
_DAMAGE = Exception

# Pillow refuses images that are much larger, whose pixels may use up all memory.
_MOST_PIXELS = 2**26

_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")


@cache
def _formats() -> list[str]:
    """The formats that are read, whatever a file's name says.

    Pillow knows others; one of them, EPS, starts another program to draw the image.
    """
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, by which a folder's images are told from its other files.

    Example:
        >>> {".jpg", ".jpeg", ".png", ".webp"} <= image_suffixes(), ".txt" in image_suffixes()
        (True, False)
    """
    known, formats = Image.registered_extensions(), _formats()
    return frozenset(suffix for suffix, name in known.items() if name in formats)


def _refusal(path: Path | str, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(
        f"Expected a whole image in {path}, found that it cannot be read ({reason}); replace or "
        f"remove this file, which may be one of {', '.join(_formats())}."
    )
