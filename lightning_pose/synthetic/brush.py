"""Shapes that are collected in any order and painted from far to near."""

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["Brush", "Canvas", "Colour", "Point", "shade"]

Canvas = UInt8[np.ndarray, "H W 4"]
"""Red, green, blue, and how much of the pixel the labelled person covers (255 for all of it).

A single drawing call paints the image and the mask, so that they cannot disagree.
"""

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 255; values outside are clipped when they are painted."""

Point = tuple[float, float]

_SHIFT = 5
"""Fractional bits of the pixel coordinates that OpenCV draws with."""

_ARC = np.linspace(0.5 * math.pi, 1.5 * math.pi, 7)
_CAP = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker below a factor of 1 and lighter above it."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


class Brush:
    """A list of convex shapes; `paint` draws those of small depth first, which are far away.

    Coordinates are pixels as in `lightning_pose.geometry` and OpenCV: an integer is the centre of a
    pixel. Shapes of the same depth are painted in the order in which they were added.
    """

    def __init__(self) -> None:
        self._capsules: list[tuple[float, ...]] = []
        self._hulls: list[np.ndarray] = []
        # (depth, colour, index): capsules count from 0 up, hulls from -1 down.
        self._shapes: list[tuple[float, Colour, int]] = []

    def capsule(
        self,
        depth: float,
        start: Point,
        end: Point,
        start_radius: float,
        end_radius: float,
        colour: Colour,
    ) -> None:
        """Add a tapered stroke with round ends; a disc where start and end are the same."""
        self._shapes.append((depth, colour, len(self._capsules)))
        self._capsules.append((start[0], start[1], end[0], end[1], start_radius, end_radius))

    def hull(self, depth: float, points: Float[np.ndarray, "n 2"], colour: Colour) -> None:
        """Add the convex hull of some points."""
        self._shapes.append((depth, colour, -1 - len(self._hulls)))
        self._hulls.append(points)

    def paint(self, canvas: Canvas, cover: bool) -> None:
        """Draw all shapes.

        Args:
            canvas: The canvas to draw on.
            cover: True if the shapes are the labelled person; anything else hides the person
                behind it.
        """
        capsules = _capsule_polygons(np.array(self._capsules).reshape(-1, 6))
        alpha = 255.0 if cover else 0.0
        # The sort is stable: shapes of equal depth keep their order.
        for _, (red, green, blue), index in sorted(self._shapes, key=_depth):
            polygon = capsules[index] if index >= 0 else _hull_polygon(self._hulls[-1 - index])
            cv2.fillConvexPoly(canvas, polygon, (red, green, blue, alpha), cv2.LINE_AA, _SHIFT)


def _depth(shape: tuple[float, Colour, int]) -> float:
    return shape[0]


def _capsule_polygons(capsules: Float[np.ndarray, "n 6"]) -> np.ndarray:
    start, end = capsules[:, 0:2], capsules[:, 2:4]
    along = end - start
    length = np.hypot(along[:, 0], along[:, 1])
    # A stroke without length is a disc; its direction does not matter.
    along = np.where(length[:, None] > 1e-6, along / np.maximum(length, 1e-6)[:, None], (1.0, 0.0))
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    cap = _CAP[:, :1] * along[:, None] + _CAP[:, 1:] * across[:, None]  # (n, 7, 2)
    first = start[:, None] + cap * capsules[:, 4, None, None]
    last = end[:, None] - cap * capsules[:, 5, None, None]
    polygons = np.concatenate([first, last], axis=1)  # (n, 14, 2)
    return _fixed_point(polygons)


def _hull_polygon(points: Float[np.ndarray, "n 2"]) -> np.ndarray:
    polygon: np.ndarray = cv2.convexHull(_fixed_point(points))
    return polygon


def _fixed_point(points: np.ndarray) -> np.ndarray:
    fixed: np.ndarray = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    return fixed
