"""Masks in COCO's two forms, outlines and run lengths, of many people in a few arrays."""

from array import array
from itertools import pairwise
from reprlib import repr as short
from typing import Any

import numpy as np
import pycocotools.mask as coco
from jaxtyping import Int8, Int64

__all__ = ["COCOMasks"]

# Drawing an outline takes about 100 bytes per pixel of its length.
_LONGEST_OUTLINE = 10**6


class COCOMasks:
    """The masks of many people, checked when they are added and drawn when they are read.

    A `segmentation` is in one of these forms (https://cocodataset.org/#format-data):

        [[x, y, x, y, ...], ...]                   polygons, whose union is the person
        {"size": [H, W], "counts": [12, 3, ...]}   runs of background and person in turn, from the
                                                   upper left corner down the columns
        {"size": [H, W], "counts": "52203`..."}    the same, compressed

    In polygons, 0 is the outer edge of the first pixel, not its centre; pycocotools draws them so.
    Run lengths are decompressed here, because pycocotools trusts them: it reads beyond the end of a
    damaged string, and leaves pixels that no run mentions as they were in memory.

    Points are kept as float32, and run lengths as the compressed string, those of all people one
    after the other.

    Example:
        >>> masks = COCOMasks()
        >>> masks.append([[0, 0, 2, 0, 2, 1, 0, 1]], size=(2, 3))
        >>> masks.append({"size": [2, 3], "counts": [1, 5]}, size=(2, 3))
        >>> masks.read(0, size=(2, 3)).tolist(), masks.read(1, size=(2, 3)).tolist()
        ([[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [1, 1, 1]])
    """

    def __init__(self) -> None:
        self._points = array("f")
        self._ends = array("q", [0])  # where each polygon ends in the points
        self._polygons = array("q", [0])  # how many polygons there are up to each person
        self._runs = bytearray()
        self._runs_end = array("q", [0])  # where each person ends in the runs

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self._polygons) - 1

    def append(self, segmentation: Any, size: tuple[int, int]) -> None:
        """Add the mask of one more person.

        Args:
            segmentation: As in the file; None and an empty list are unknown masks. A polygon of
                fewer than three points covers nothing and is left out.
            size: Height and width of the image in pixels.

        Raises:
            ValueError: It is no mask of that size; the message says what it is instead.
        """
        if isinstance(segmentation, dict):
            self._runs += _compressed(segmentation, size)
        elif isinstance(segmentation, list):
            for polygon in segmentation:
                points = _outline(polygon)
                if len(points) >= 6:
                    self._points += points
                    self._ends.append(len(self._points))
        elif segmentation is not None:
            raise ValueError(short(segmentation))
        self._polygons.append(len(self._ends) - 1)
        self._runs_end.append(len(self._runs))

    def read(self, index: int, size: tuple[int, int]) -> Int8[np.ndarray, "H0 W0"] | None:
        """Draw the mask of one person.

        Args:
            index: Index of the person, in the order of `append`.
            size: Height and width of the image, the same as for `append`.

        Returns:
            1 person, 0 background; None where the mask is unknown.
        """
        first, last = self._polygons[index : index + 2]
        runs = bytes(self._runs[slice(*self._runs_end[index : index + 2])])
        if first < last:
            points = np.frombuffer(self._points, dtype=np.float32)
            polygons = [points[slice(*ends)] for ends in pairwise(self._ends[first : last + 1])]
            runs = coco.merge(coco.frPyObjects(polygons, *size))["counts"]
        if not runs:
            return None
        lengths = _run_lengths(runs)
        mask = np.repeat((np.arange(len(lengths)) % 2).astype(np.int8), lengths)
        # Runs go down the columns.
        return np.ascontiguousarray(mask.reshape(size[1], size[0]).T)


def _outline(polygon: Any) -> "array[float]":
    if not isinstance(polygon, list) or len(polygon) % 2:
        raise ValueError("a polygon that is no list of x, y, x, y, ...")
    try:
        points = array("f", polygon)
    except (TypeError, OverflowError) as error:
        raise ValueError("a polygon with a coordinate that is no number") from error
    path = np.array(points).reshape(-1, 2)
    with np.errstate(invalid="ignore"):
        # From the corner of the image, so that coordinates far away are too long as well.
        length = np.abs(path[:1]).sum() + np.abs(path[1:] - path[:-1]).sum()
    if not length <= _LONGEST_OUTLINE:  # NaN is not.
        raise ValueError(f"a polygon that is not finite, or longer than {_LONGEST_OUTLINE} pixels")
    return points


def _compressed(segmentation: dict[str, Any], size: tuple[int, int]) -> bytes:
    """Compressed run lengths that make up a whole mask."""
    if segmentation.get("size") != list(size):
        raise ValueError(f"run lengths for the size {short(segmentation.get('size'))}")
    counts = segmentation.get("counts")
    packed = b""
    if isinstance(counts, list):
        try:
            runs = np.array(array("q", counts), dtype=np.int64)
        except (TypeError, OverflowError) as error:
            raise ValueError("run lengths that are no whole numbers") from error
    elif isinstance(counts, str):
        packed = counts.encode("utf-8", errors="surrogatepass")
        runs = _run_lengths(packed)
    else:
        raise ValueError("'counts' that are neither a list nor a string")
    pixels = size[0] * size[1]
    # Each run first, because the sum could overflow.
    if runs.min(initial=0) < 0 or runs.max(initial=0) > pixels or runs.sum() != pixels:
        raise ValueError("run lengths that do not add up to the size")
    if not packed:
        packed = coco.frPyObjects(segmentation, *size)["counts"]
    return packed


def _run_lengths(packed: bytes) -> Int64[np.ndarray, " R"]:
    """Decompress run lengths.

    Each character is 48 plus six bits: five of a number, the lowest first, and one that says that
    more follow. The highest bit of a number is its sign. From the fourth on, a number is the
    difference to the run before the last.
    """
    values = np.frombuffer(packed, dtype=np.uint8).astype(np.int64) - 48
    last = values & 32 == 0
    ends = np.flatnonzero(last)
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if not len(values) or not ((values >= 0) & (values < 64)).all() or not last[-1]:
        raise ValueError("run lengths that are cut off or damaged")
    if lengths.max() > 6:
        raise ValueError("run lengths that are larger than any image")
    place = np.arange(len(values)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((values & 31) << 5 * place, starts)
    runs -= np.where(values[ends] & 16, 1 << 5 * lengths, 0)
    for parity in (1, 2):
        runs[parity::2] = np.cumsum(runs[parity::2])
    return runs
