"""Skeletons and masks over a picture, anti-aliased and at sub-pixel positions."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from lightning_pose.skeletons import Skeleton

__all__ = ["draw_mask", "draw_skeleton"]

_SHIFT = (
    4  # OpenCV takes coordinates as integers of 1/16 pixel; a whole number is a pixel's centre.
)
_OUTLINE = (20, 20, 20)


def draw_skeleton(
    image: UInt8[np.ndarray, "H W 3"],
    keypoints: Float[np.ndarray, "K 2"],
    drawn: Bool[np.ndarray, " K"],
    skeleton: Skeleton,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a person's limbs and joints in the skeleton's colours.

    Lines are as wide as suits the size of the person, with a dark edge that sets them off from
    any background. A limb is drawn where both of its joints are.

    Args:
        image: The RGB picture, which stays as it is.
        keypoints: (x, y) in its pixels.
        drawn: Which joints to draw; one that is not finite is never drawn.
        skeleton: The joints, limbs and colours.

    Returns:
        A copy of the picture with the person drawn on it.

    Example:
        >>> from lightning_pose.skeletons import LSP14
        >>> picture, points = np.zeros((5, 7, 3), np.uint8), np.zeros((14, 2))
        >>> points[13] = 4, 2
        >>> draw_skeleton(picture, points, np.arange(14) == 13, LSP14)[2, 4].tolist()
        [240, 200, 60]
    """
    canvas = np.ascontiguousarray(image).copy()
    drawn = drawn & np.isfinite(keypoints).all(axis=1)
    if not drawn.any():
        return canvas
    extent = float(np.ptp(keypoints[drawn], axis=0).max())
    width = int(np.clip(round(min(extent, *image.shape[:2]) / 75), 1, 24))
    # A prediction may lie anywhere, but OpenCV's integers end.
    points = np.round(np.clip(np.where(drawn[:, None], keypoints, 0), -1e6, 1e6) * (1 << _SHIFT))
    centres = [(int(x), int(y)) for x, y in points]
    limbs = [
        (limb, colour)
        for limb, colour in zip(skeleton.limbs, skeleton.colours, strict=True)
        if drawn[list(limb)].all()
    ]
    joint_colours = {
        joint: colour
        for limb, colour in zip(reversed(skeleton.limbs), reversed(skeleton.colours), strict=True)
        for joint in limb
    }
    for (first, second), _ in limbs:
        _line(canvas, centres[first], centres[second], _OUTLINE, width + 2)
    for (first, second), colour in limbs:
        _line(canvas, centres[first], centres[second], colour, width)
    for joint in np.flatnonzero(drawn).tolist():
        for colour, radius in (
            (_OUTLINE, 1.0 * width + 1.0),
            (joint_colours.get(joint, (255, 255, 255)), 1.0 * width),
        ):
            size = round(radius * (1 << _SHIFT))
            cv2.circle(canvas, centres[joint], size, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    return canvas


def _line(
    canvas: UInt8[np.ndarray, "H W 3"],
    start: tuple[int, int],
    end: tuple[int, int],
    colour: tuple[int, int, int],
    width: int,
) -> None:
    cv2.line(canvas, start, end, colour, width, cv2.LINE_AA, _SHIFT)


def draw_mask(
    image: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    colour: tuple[int, int, int] = (70, 210, 150),
    opacity: float = 0.4,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay a translucent colour with a firm contour over a person.

    Args:
        image: The RGB picture, which stays as it is.
        mask: Which pixels are the person.
        colour: Red, green and blue of the mask, 0 to 255.
        opacity: How much of the colour covers the picture, 0 to 1.

    Returns:
        A copy of the picture with the mask on it.

    Example:
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:7, 2:7] = True
        >>> picture = draw_mask(np.zeros((9, 9, 3), np.uint8), mask, (100, 200, 50), opacity=0.5)
        >>> picture[4, 4].tolist(), picture[0, 0].tolist()
        ([50, 100, 25], [0, 0, 0])
    """
    canvas = np.ascontiguousarray(image).copy()
    tinted = canvas[mask] * (1 - opacity) + np.array(colour) * opacity
    canvas[mask] = np.round(tinted).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(image.shape[:2]) / 500))
    cv2.drawContours(canvas, contours, -1, colour, width, cv2.LINE_AA)
    return canvas
