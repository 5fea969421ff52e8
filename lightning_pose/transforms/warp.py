"""Warps: map the pixels of an image or a mask to the network's input by one affine matrix."""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int8, UInt8

from lightning_pose.geometry import crop_matrix, image_box
from lightning_pose.input_spec import Interpolation

__all__ = ["warp_image", "warp_mask"]

_FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def warp_image(
    image: UInt8[np.ndarray, "h w 3"],
    matrix: Float32[np.ndarray, "2 3"],
    size: tuple[int, int],
    interpolation: Interpolation = "linear",
    frame: Float32[np.ndarray, "2 3"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Warp an image; everything beyond its edges is black.

    Where the warp shrinks by 2 or more, blocks of pixels are averaged first, so that fine texture
    does not alias.

    Args:
        image: RGB.
        matrix: From source pixels to input pixels.
        size: Height and width of the result in pixels.
        interpolation: How the warp interpolates between pixels.
        frame: From source pixels to pixels of `image`, where it was decoded at a reduced scale;
            None is the identity.

    Returns:
        The warped image.

    Example:
        >>> half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]], dtype=np.float32)
        >>> image = np.array([[[10] * 3, [30] * 3], [[50] * 3, [70] * 3]], dtype=np.uint8)
        >>> warp_image(image, half, size=(1, 1)).tolist()
        [[[40, 40, 40]]]
    """
    warp = _after(matrix, frame)
    # How far the result moves per pixel along each axis of the image; in a stretched crop the two
    # differ.
    zooms = np.linalg.norm(warp[:, :2], axis=0)
    across, down = (
        max(1, int(min(1 / zoom, side)))
        for zoom, side in zip(zooms, image.shape[1::-1], strict=True)
    )
    if max(across, down) >= 2:
        # The last block is padded with its edge, so that no row or column is lost.
        below, right = -image.shape[0] % down, -image.shape[1] % across
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        small = (image.shape[0] // down, image.shape[1] // across)
        shrink = crop_matrix(image_box(image.shape[:2]), small, enlarge=1.0, fit="stretch")
        image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
        warp = _after(warp, shrink)
    return cv2.warpAffine(image, warp, size[::-1], flags=_FLAGS[interpolation])


def warp_mask(
    mask: Int8[np.ndarray, "h w"] | None,
    matrix: Float32[np.ndarray, "2 3"],
    size: tuple[int, int],
    frame: Float32[np.ndarray, "2 3"] | None = None,
) -> Int8[np.ndarray, "H W"]:
    """Warp a mask; beyond its edges is background, or unknown where no pixel is known.

    Args:
        mask: 1 person, 0 background, -1 unknown; None where the whole mask is unknown.
        matrix: From source pixels to input pixels.
        size: Height and width of the result in pixels.
        frame: From source pixels to pixels of `mask`; None is the identity.

    Returns:
        The warped mask, read at the nearest pixels.
    """
    if mask is None or mask.max() < 0:
        return np.full(size, -1, dtype=np.int8)
    # OpenCV warps bytes, not int8; as a byte, -1 is 255, which nearest neighbours preserve.
    warped = cv2.warpAffine(
        mask.view(np.uint8), _after(matrix, frame), size[::-1], flags=cv2.INTER_NEAREST
    )
    return warped.view(np.int8)


def _after(
    matrix: Float32[np.ndarray, "2 3"] | Float64[np.ndarray, "2 3"],
    frame: Float32[np.ndarray, "2 3"] | None,
) -> Float32[np.ndarray, "2 3"] | Float64[np.ndarray, "2 3"]:
    """The matrix for points that another matrix has already moved."""
    if frame is None:
        return matrix
    moved: np.ndarray = matrix @ np.vstack((cv2.invertAffineTransform(frame), (0, 0, 1)))
    return moved
