"""Contact sheets: rows of people, the truth and each head's answer side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from lightning_pose.geometry import crop_matrix, picture_box, transform_points
from lightning_pose.skeletons import Skeleton
from lightning_pose.visualization.drawing import draw_mask, draw_skeleton

__all__ = ["Tile", "contact_sheet"]

_PAPER, _INK = (248, 248, 246), (40, 40, 40)
_GAP, _CAPTION = 8, 22


@dataclass
class Tile:
    """One picture of a sheet and what is drawn over it.

    Attributes:
        image: The RGB picture.
        caption: What stands above it, such as the name of a head and its score for this person.
        keypoints: (x, y) in the picture's pixels.
        drawn: Which of them to draw; by default all.
        mask: Which pixels are the person.
    """

    image: UInt8[np.ndarray, "H W 3"]
    caption: str
    keypoints: Float[np.ndarray, "K 2"] | None = None
    drawn: Bool[np.ndarray, " K"] | None = None
    mask: Bool[np.ndarray, "H W"] | None = None


def contact_sheet(
    rows: Sequence[Sequence[Tile]], skeleton: Skeleton, height: int = 256
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw rows of tiles, one row a person.

    Pictures are brought to one height before anything is drawn on them, so that lines and contours
    stay fine also where crops are small.

    Args:
        rows: The tiles; rows may be of different lengths.
        skeleton: The joints of every tile.
        height: Height of a tile's picture on the sheet in pixels.

    Returns:
        The sheet as an RGB picture.

    Raises:
        ValueError: There is no tile.

    Example:
        >>> from lightning_pose.skeletons import LSP14
        >>> picture = np.zeros((128, 96, 3), dtype=np.uint8)
        >>> contact_sheet([[Tile(picture, "truth"), Tile(picture, "joints")]], LSP14).shape
        (294, 408, 3)
    """
    pictures = [[_draw(tile, skeleton, height) for tile in row] for row in rows]
    if not any(pictures):
        raise ValueError("Expected at least one tile for a contact sheet, found none.")
    step = height + _CAPTION + _GAP
    width = max(sum(picture.shape[1] + _GAP for picture in row) for row in pictures) + _GAP
    sheet = Image.new("RGB", (width, len(rows) * step + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for index, (row, tiles) in enumerate(zip(pictures, rows, strict=True)):
        left, top = _GAP, _GAP + index * step
        for picture, tile in zip(row, tiles, strict=True):
            caption = tile.caption
            while caption.strip("…") and pen.textlength(caption, font) > picture.shape[1]:
                caption = caption.rstrip("…")[:-1] + "…"
            pen.text((left + 1, top), caption, _INK, font)
            sheet.paste(Image.fromarray(picture), (left, top + _CAPTION))
            left += picture.shape[1] + _GAP
    return np.asarray(sheet)


def _draw(tile: Tile, skeleton: Skeleton, height: int) -> UInt8[np.ndarray, "H W 3"]:
    """The tile's picture at the sheet's size, with mask and skeleton."""
    rows, columns = tile.image.shape[:2]
    size = (height, max(1, round(columns * height / rows)))
    # One matrix moves picture, mask and points, so that they cannot come apart.
    matrix = crop_matrix(picture_box((rows, columns)), size, enlarge=1.0)
    # Without the border's own pixels a line of black would run along the edges.
    border = cv2.BORDER_REPLICATE
    flags = cv2.INTER_CUBIC if height >= rows else cv2.INTER_LINEAR
    canvas = cv2.warpAffine(tile.image, matrix, size[::-1], flags=flags, borderMode=border)
    if tile.mask is not None:
        mask = tile.mask.astype(np.float32)
        share = cv2.warpAffine(mask, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=border)
        canvas = draw_mask(canvas, share > 0.5)
    if tile.keypoints is not None:
        drawn = np.ones(len(tile.keypoints), dtype=np.bool_) if tile.drawn is None else tile.drawn
        points = transform_points(matrix, tile.keypoints.astype(np.float32))
        canvas = draw_skeleton(canvas, points, drawn, skeleton)
    return canvas
