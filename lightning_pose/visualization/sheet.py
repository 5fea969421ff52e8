"""Contact sheets: rows of people, with the ground truth and each head's prediction side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from lightning_pose.geometry import crop_matrix, image_box, transform_points
from lightning_pose.skeletons import Skeleton
from lightning_pose.visualization.drawing import (
    draw_heatmap,
    draw_mask,
    draw_saliency,
    draw_skeleton,
)

__all__ = ["Tile", "contact_sheet"]

_PAPER, _INK = (248, 248, 246), (40, 40, 40)
_GAP, _CAPTION = 8, 22


@dataclass
class Tile:
    """One image of a sheet and what is drawn over it.

    Attributes:
        image: The RGB image.
        caption: The text above it, such as the name of a head and its score for this person.
        keypoints: (x, y) in the image's pixels.
        drawn: Which of them to draw; by default all.
        mask: Which pixels are the person.
        heatmap: One value per pixel, high where a joint is.
        saliency: One value per pixel, high where a prediction comes from.
    """

    image: UInt8[np.ndarray, "H W 3"]
    caption: str
    keypoints: Float[np.ndarray, "K 2"] | None = None
    drawn: Bool[np.ndarray, " K"] | None = None
    mask: Bool[np.ndarray, "H W"] | None = None
    heatmap: Float[np.ndarray, "H W"] | None = None
    saliency: Float[np.ndarray, "H W"] | None = None


def contact_sheet(
    rows: Sequence[Sequence[Tile]], skeleton: Skeleton, height: int = 256
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw rows of tiles, one row per person.

    Images are scaled to one height before anything is drawn on them, so that lines and contours
    stay fine where crops are small.

    Args:
        rows: The tiles; rows may be of different lengths.
        skeleton: The joints of every tile.
        height: Height of a tile's image on the sheet in pixels.

    Returns:
        The sheet as an RGB image.

    Raises:
        ValueError: There are no tiles.

    Example:
        >>> from lightning_pose.skeletons import LSP14
        >>> image = np.zeros((128, 96, 3), dtype=np.uint8)
        >>> contact_sheet([[Tile(image, "truth"), Tile(image, "joints")]], LSP14).shape
        (294, 408, 3)
    """
    drawn = [[_draw(tile, skeleton, height) for tile in row] for row in rows]
    if not any(drawn):
        raise ValueError("Expected at least one tile for a contact sheet, found none.")
    step = height + _CAPTION + _GAP
    width = max(sum(image.shape[1] + _GAP for image in row) for row in drawn) + _GAP
    sheet = Image.new("RGB", (width, len(rows) * step + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for index, (row, tiles) in enumerate(zip(drawn, rows, strict=True)):
        left, top = _GAP, _GAP + index * step
        for image, tile in zip(row, tiles, strict=True):
            caption = tile.caption
            while caption.strip("…") and pen.textlength(caption, font) > image.shape[1]:
                caption = caption.rstrip("…")[:-1] + "…"
            pen.text((left + 1, top), caption, _INK, font)
            sheet.paste(Image.fromarray(image), (left, top + _CAPTION))
            left += image.shape[1] + _GAP
    return np.asarray(sheet)


def _draw(tile: Tile, skeleton: Skeleton, height: int) -> UInt8[np.ndarray, "H W 3"]:
    """The tile's image at the sheet's size, with maps, mask and skeleton."""
    rows, columns = tile.image.shape[:2]
    size = (height, max(1, round(columns * height / rows)))
    # One matrix moves the image, maps and points, so that they stay aligned.
    matrix = crop_matrix(image_box((rows, columns)), size, enlarge=1.0)
    # Without replicated pixels, a black line would run along the edges.
    border = cv2.BORDER_REPLICATE
    flags = cv2.INTER_CUBIC if height >= rows else cv2.INTER_LINEAR
    canvas = cv2.warpAffine(tile.image, matrix, size[::-1], flags=flags, borderMode=border)

    def warp(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        warped: np.ndarray = cv2.warpAffine(
            values, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=border
        )
        return warped

    if tile.saliency is not None:
        canvas = draw_saliency(canvas, warp(tile.saliency))
    if tile.heatmap is not None:
        canvas = draw_heatmap(canvas, warp(tile.heatmap))
    if tile.mask is not None:
        canvas = draw_mask(canvas, warp(tile.mask) > 0.5)
    if tile.keypoints is not None:
        drawn = np.ones(len(tile.keypoints), dtype=np.bool_) if tile.drawn is None else tile.drawn
        points = transform_points(matrix, tile.keypoints.astype(np.float32))
        canvas = draw_skeleton(canvas, points, drawn, skeleton)
    return canvas
