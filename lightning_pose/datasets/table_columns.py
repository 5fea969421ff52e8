"""From the rows of a table to arrays of all people, without an object per person."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import isnan
from pathlib import Path
from posixpath import normpath

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from lightning_pose.datasets.labels import LabelColumn
from lightning_pose.datasets.measures import joint_boxes, segment_lengths
from lightning_pose.datasets.table_rows import OpenTable, Row, quoted, refusal
from lightning_pose.errors import DataError
from lightning_pose.sample import Annotations
from lightning_pose.skeletons import Skeleton

__all__ = ["People", "read_people"]

_NUMBERS_AT_ONCE = 200_000
_FARTHEST = 1e6
_LONGEST_NAME = 1000
_SPLITS = (b"train", b"val", b"test")


@dataclass
class People:
    """Everybody in a table.

    Attributes:
        annotations: The annotations; `person_id` is the number of the line, and `image_id` the file
            of the image in UTF-8.
        classes: The sorted classes of each label, none for a number.
        has_boxes: Whether the boxes are from the table; if not, they are tight around the joints.
        mask: The file of each person's mask, empty for none; None if nobody has one.
        split: b"train", b"val" or b"test" for each person; None if the table has no splits.
    """

    annotations: Annotations
    classes: dict[str, list[str]]
    has_boxes: bool
    mask: np.ndarray | None
    split: np.ndarray | None


def read_people(path: Path, table: OpenTable, skeleton: Skeleton) -> People:
    """Read everybody in a table.

    Args:
        path: The file, for messages.
        table: The open table.
        skeleton: The joints of the table, in its order.

    Returns:
        The people.

    Raises:
        DataError: A line cannot be used, or there is none.
    """
    lines, visibility = array("q"), bytearray()
    labels = [LabelColumn(path, name) for name in table.labels]
    keypoints, box, head, torso = (array("f") for _ in range(4))
    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    splits: list[np.ndarray] = []
    has_boxes = has_splits = False
    # Some people at a time, which numpy checks together, so that little else is ever in memory.
    size = max(1, _NUMBERS_AT_ONCE // (3 * skeleton.num_joints))
    while rows := list(islice(table.rows, size)):
        if not lines:
            has_boxes, has_splits = not isnan(rows[0].box[0]), bool(rows[0].split)
        lines.extend(row.line for row in rows)
        points, seen = _joints(path, skeleton.names, rows)
        boxes = _boxes(path, rows, has_boxes)
        visibility += seen.tobytes()
        keypoints.frombytes(points.tobytes())
        box.frombytes((boxes if has_boxes else joint_boxes(points, seen)).tobytes())
        head.frombytes(segment_lengths(points, seen, skeleton.head).tobytes())
        torso.frombytes(segment_lengths(points, seen, skeleton.torso).tobytes())
        images.append(_files(path, "image", rows))
        masks.append(_files(path, "mask", rows))
        splits.append(_splits(path, rows, has_splits))
        for place, label in enumerate(labels):
            for row in rows:
                label.append(row.line, row.labels[place])
    if not lines:
        raise DataError(f"Expected at least one person in {path}, found none; add a line for each.")
    count, mask = len(lines), np.concatenate(masks)
    return People(
        annotations=Annotations(
            keypoints=np.frombuffer(keypoints, np.float32).reshape(count, -1, 2),
            visibility=np.frombuffer(visibility, np.uint8).reshape(count, -1),
            box=np.frombuffer(box, np.float32).reshape(count, 4),
            head_size=np.frombuffer(head, np.float32),
            torso_size=np.frombuffer(torso, np.float32),
            area=np.zeros(count, dtype=np.float32),
            person_id=np.frombuffer(lines, np.int64),
            image_id=np.concatenate(images),
            labels={label.name: label.values() for label in labels},
        ),
        classes={label.name: label.classes for label in labels},
        has_boxes=has_boxes,
        mask=mask if (mask != b"").any() else None,
        split=np.concatenate(splits) if has_splits else None,
    )


def _joints(
    path: Path, names: Sequence[str], rows: Sequence[Row]
) -> tuple[Float32[np.ndarray, "n K 2"], UInt8[np.ndarray, "n K"]]:
    """Keypoints and visibility of some people."""
    values = np.array([row.joints for row in rows]).reshape(len(rows), len(names), 3)
    points, flags = values[..., :2], values[..., 2]
    is_given = ~np.isnan(points)
    both, one = is_given.all(axis=2), is_given.any(axis=2)
    labelled = both & (flags != 0)
    advice = "leave the joint empty, or set v to 0, where it is not labelled"
    for is_bad, expected in (
        (one & ~both, "x and y"),
        (~np.isnan(flags) & ~np.isin(flags, (0, 1, 2)), "v of 0, 1 or 2"),
        (~one & (flags > 0), "x and y beside v"),
        ((np.abs(points) > _FARTHEST).any(axis=2), f"x and y of at most {_FARTHEST:.0f}"),
        (labelled & (points == 0).all(axis=2), "another place than (0, 0)"),
    ):
        if is_bad.any():
            row, joint = (int(place) for place in np.argwhere(is_bad)[0])
            expected = f"{expected} for {names[joint]!r}"
            raise refusal(path, rows[row].line, expected, _shown(values[row, joint]), advice)
    visibility = np.where(labelled, np.where(np.isnan(flags), 2, flags), 0).astype(np.uint8)
    return np.where(labelled[..., None], points, 0).astype(np.float32), visibility


def _boxes(path: Path, rows: Sequence[Row], has_boxes: bool) -> Float32[np.ndarray, "n 4"]:
    """Boxes of some people, NaN if they have none."""
    boxes = np.array([row.box for row in rows])
    is_empty = np.isnan(boxes)
    is_wrong = (np.abs(boxes) > _FARTHEST).any(axis=1) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    for is_bad, expected, advice in (
        (
            is_empty.any(axis=1) if has_boxes else ~is_empty.all(axis=1),
            f"{'a' if has_boxes else 'no'} box x0, y0, x1, y1, as for the first person,",
            "give everybody a box, or nobody",
        ),
        (
            is_wrong,
            "a box x0, y0, x1, y1 with x0 < x1 and y0 < y1",
            "write its left, upper, right and lower edge in pixels, not its width and height",
        ),
    ):
        if is_bad.any():
            row = int(np.argmax(is_bad))
            raise refusal(path, rows[row].line, expected, _shown(boxes[row]), advice)
    return boxes.astype(np.float32)


def _shown(values: Float64[np.ndarray, " n"]) -> str:
    return ", ".join("nothing" if np.isnan(value) else f"{value:g}" for value in values)


def _files(path: Path, kind: str, rows: Sequence[Row]) -> np.ndarray:
    """The files of the images or masks of some people, each written in one way."""
    texts = [getattr(row, kind) for row in rows]
    # An image under two names, such as a.jpg and ./a.jpg, could be in two splits.
    names = [normpath(text).encode() if text else b"" for text in texts]
    for row, name in zip(rows, names, strict=True):
        # No system has a file whose name contains a byte of 0.
        if len(name) > _LONGEST_NAME or b"\0" in name or not (name or kind == "mask"):
            found = quoted(getattr(row, kind)) if name else "none"
            raise refusal(path, row.line, f"a file as the {kind}", found, "correct its name")
    return np.array(names)


def _splits(path: Path, rows: Sequence[Row], has_splits: bool) -> np.ndarray:
    """The splits of some people."""
    names = [row.split.encode() for row in rows]
    for row, name in zip(rows, names, strict=True):
        if has_splits and name not in _SPLITS:
            advice = "name the split of everybody, or remove the splits"
            found = quoted(row.split) if name else "none"
            raise refusal(path, row.line, "the split train, val or test", found, advice)
        if name and not has_splits:
            expected, advice = "no split, as for the first person,", "name that of everybody"
            raise refusal(path, row.line, expected, quoted(row.split), advice)
    return np.array(names)
