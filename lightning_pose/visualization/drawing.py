"""Skeletons, masks, heatmaps and saliency over an image, at sub-pixel positions."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from lightning_pose.skeletons import Skeleton

__all__ = ["draw_heatmap", "draw_mask", "draw_saliency", "draw_skeleton"]

# OpenCV takes coordinates as integers in units of 1/16 pixel; a whole pixel is a pixel's centre.
_SHIFT = 4
_OUTLINE = (20, 20, 20)


def draw_skeleton(
    image: UInt8[np.ndarray, "H W 3"],
    keypoints: Float[np.ndarray, "K 2"],
    drawn: Bool[np.ndarray, " K"],
    skeleton: Skeleton,
    certain: Bool[np.ndarray, " K"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a person's limbs and joints in the skeleton's colours.

    The width of the lines follows the size of the person, or of the image if only one joint is
    drawn; a dark edge sets them off from any background. A limb is drawn if both of its joints are.
    An uncertain joint is a ring, and its limbs are thin.

    Args:
        image: The RGB image, which is not modified.
        keypoints: (x, y) in the image's pixels.
        drawn: Which joints to draw; joints that are not finite are never drawn.
        skeleton: The joints, limbs and colours.
        certain: Which joints are certain; None for all.

    Returns:
        A copy of the image with the person drawn on it.

    Example:
        >>> from lightning_pose.skeletons import LSP14
        >>> image, points = np.zeros((5, 7, 3), np.uint8), np.zeros((14, 2))
        >>> points[13] = 4, 2
        >>> draw_skeleton(image, points, np.arange(14) == 13, LSP14)[2, 4].tolist()
        [240, 200, 60]
    """
    canvas = np.ascontiguousarray(image).copy()
    drawn = drawn & np.isfinite(keypoints).all(axis=1)
    certain = np.ones_like(drawn) if certain is None else certain
    if not drawn.any():
        return canvas
    # A single joint has no extent, and the image decides.
    extent = float(np.ptp(keypoints[drawn], axis=0).max()) or np.inf
    width = int(np.clip(round(min(extent, *image.shape[:2]) / 75), 1, 24))
    # A prediction may lie anywhere, but OpenCV's integers overflow.
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
        if certain[first] and certain[second]:
            _line(canvas, centres[first], centres[second], _OUTLINE, width + 2)
    for (first, second), colour in limbs:
        thin = not (certain[first] and certain[second])
        _line(canvas, centres[first], centres[second], colour, 1 if thin else width)
    for joint in np.flatnonzero(drawn).tolist():
        colour = joint_colours.get(joint, (255, 255, 255))
        if certain[joint]:
            _circle(canvas, centres[joint], width + 1, _OUTLINE, cv2.FILLED)
            _circle(canvas, centres[joint], width, colour, cv2.FILLED)
        else:
            _circle(canvas, centres[joint], width + 2, colour, 1)
    return canvas


def _circle(
    canvas: UInt8[np.ndarray, "H W 3"],
    centre: tuple[int, int],
    radius: int,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    cv2.circle(canvas, centre, radius << _SHIFT, colour, width, cv2.LINE_AA, _SHIFT)


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
    """Overlay a person with a translucent colour and an opaque contour.

    Args:
        image: The RGB image, which is not modified.
        mask: Which pixels are the person.
        colour: Red, green and blue of the mask, 0 to 255.
        opacity: How much of the colour covers the image, 0 to 1.

    Returns:
        A copy of the image with the mask on it.

    Example:
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:7, 2:7] = True
        >>> drawn = draw_mask(np.zeros((9, 9, 3), np.uint8), mask, (100, 200, 50), opacity=0.5)
        >>> drawn[4, 4].tolist(), drawn[0, 0].tolist()
        ([50, 100, 25], [0, 0, 0])
    """
    canvas = np.ascontiguousarray(image).copy()
    tinted = canvas[mask] * (1 - opacity) + np.array(colour) * opacity
    canvas[mask] = np.round(tinted).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(image.shape[:2]) / 500))
    cv2.drawContours(canvas, contours, -1, colour, width, cv2.LINE_AA)
    return canvas


def draw_heatmap(
    image: UInt8[np.ndarray, "H W 3"],
    heatmap: Float[np.ndarray, "H W"],
    colour: tuple[int, int, int] = (255, 90, 30),
    opacity: float = 0.7,
) -> UInt8[np.ndarray, "H W 3"]:
    """Overlay an image with a colour that is more opaque where the heatmap is higher.

    Args:
        image: The RGB image, which is not modified.
        heatmap: One value per pixel; the largest is drawn with the full opacity, 0 and below not at
            all.
        colour: Red, green and blue of the peaks, 0 to 255.
        opacity: How much of the colour covers the image at the highest peak, 0 to 1.

    Returns:
        A copy of the image with the heatmap on it.

    Example:
        >>> heatmap = np.array([[0.0, 0.2, 0.4]])
        >>> draw_heatmap(np.zeros((1, 3, 3), np.uint8), heatmap, (100, 0, 200), 0.5)[0].tolist()
        [[0, 0, 0], [25, 0, 50], [50, 0, 100]]
    """
    peak = max(float(heatmap.max()), np.finfo(np.float32).tiny)
    cover = np.clip(heatmap / peak, 0, 1)[..., None] * opacity
    blended: np.ndarray = np.round(image * (1 - cover) + np.array(colour) * cover)
    return blended.astype(np.uint8)


def draw_saliency(
    image: UInt8[np.ndarray, "H W 3"],
    saliency: Float[np.ndarray, "H W"],
    opacity: float = 0.6,
) -> UInt8[np.ndarray, "H W 3"]:
    """Overlay an image, in shades of grey, with a colour for each value.

    Gradients are seldom 0 anywhere, so the colours span the values of this map, dark where it is
    lowest and yellow where it is highest.

    Args:
        image: The RGB image, which is not modified.
        saliency: One value per pixel.
        opacity: How much of the colours covers the image, 0 to 1.

    Returns:
        A copy of the image with the saliency on it.

    Example:
        >>> saliency = np.array([[0.3, 0.5, 0.7]])
        >>> draw_saliency(np.zeros((1, 3, 3), np.uint8), saliency, opacity=1.0)[0].tolist()
        [[0, 0, 4], [188, 55, 84], [252, 255, 164]]
    """
    low, high = float(saliency.min()), float(saliency.max())
    share = (saliency - low) / max(high - low, float(np.finfo(np.float32).tiny))
    levels = np.round(255 * share).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    grey = image.mean(axis=2, keepdims=True)
    blended: np.ndarray = np.round(grey * (1 - opacity) + np.asarray(colours) * opacity)
    return blended.astype(np.uint8)
