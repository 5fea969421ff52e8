"""Tables of people as CSV, as spreadsheets and pandas write them."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from math import isfinite, nan
from operator import itemgetter
from pathlib import Path

from lightning_pose.datasets.labels import parse_label
from lightning_pose.datasets.table_rows import (
    OpenTable,
    Row,
    in_order,
    quoted,
    refusal,
    some,
    text_lines,
)

__all__ = ["csv_records", "open_csv"]

_BOX = ("x0", "y0", "x1", "y1")
_EDGES = "x0, y0, x1 and y1"
_TEXTS = ("image", "mask", "split")

# How other tools name these columns, in small letters without underscores: as labels they would go
# unnoticed, and what they say would be lost.
_OTHER_NAMES = {
    **{name: name for name in (*_TEXTS, *_BOX)},
    **dict.fromkeys(("set", "splits", "subset"), "split"),
    **dict.fromkeys(("masks", "segmentation", "silhouette"), "mask"),
    **dict(zip(("xmin", "ymin", "xmax", "ymax"), _BOX, strict=True)),
    # As `min_x` or `bbox_x`, these would be taken for columns of a joint.
    **dict(zip(("minx", "miny", "maxx", "maxy"), _BOX, strict=True)),
    **dict.fromkeys(("box", "boxx", "bbox", "bboxx", "boundingbox", "boundingboxx"), _EDGES),
}
_FLAGS = ("vis", "visible", "visibility", "score", "conf", "confidence", "likelihood")


def open_csv(path: Path, skeleton: Sequence[str] | None) -> OpenTable:
    """Read the header of a CSV; `TableDataset` says which columns it has.

    Args:
        path: The file.
        skeleton: The joints of the skeleton; None if it is made of those of the table.

    Returns:
        The table; its rows raise a `DataError` at a line that cannot be used.

    Raises:
        DataError: The header cannot be used, or its joints are not those of the skeleton.
    """
    records = csv_records(path)
    line, header = next(records, (1, []))
    header = [name.strip() for name in header]
    _check_header(path, line, header)
    # A column without a name, such as the index that pandas writes, is left out.
    columns = {name: place for place, name in enumerate(header) if name}
    named = [name[:-2] for name in columns if _is_of_joint(name) and name.endswith("_x")]
    joints = in_order(path, line, named, skeleton)
    numbers = [*_BOX, *(f"{joint}_{axis}" for joint in joints for axis in "xyv")]
    labels = tuple(name for name in columns if name not in {*_TEXTS, *numbers})
    # A column that is not there is read from a cell after the last one, which is always empty.
    pick_numbers = itemgetter(*(columns.get(name, len(header)) for name in numbers))
    pick_texts = itemgetter(*(columns.get(name, len(header)) for name in _TEXTS))

    def row(line: int, cells: list[str]) -> Row:
        if len(cells) != len(header):
            advice = "fill up the line, or put a cell that contains a comma in quotes"
            raise refusal(path, line, f"{len(header)} cells", str(len(cells)), advice)
        cells.append("")
        written = pick_numbers(cells)
        try:
            values = [float(cell) if cell else nan for cell in written]
        except ValueError:
            values = []
        # An empty cell is this very NaN; a cell with the text "nan" is another one.
        if not values or not isfinite(sum([value for value in values if value is not nan])):
            _check_numbers(path, line, numbers, written)
        image, mask, split = (cell.strip() for cell in pick_texts(cells))
        classes = [parse_label(cells[columns[name]]) for name in labels]
        return Row(line, image, mask, split, values[:4], values[4:], classes)

    return OpenTable(joints, labels, (row(*record) for record in records))


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read a CSV record by record.

    Args:
        path: The file, in UTF-8.

    Yields:
        The number of a record's last line and its cells, for those that are not empty.

    Raises:
        DataError: The file cannot be read, or quotes are wrong.
    """
    reader = csv.reader(text_lines(path), strict=True, skipinitialspace=True)
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            expected, advice = "cells separated by commas", "save the table as CSV again"
            raise refusal(path, reader.line_num, expected, str(error), advice) from error
        if record is None:
            return
        if any(record):
            yield reader.line_num, record


def _is_of_joint(name: str) -> bool:
    return len(name) > 2 and name[-2:] in ("_x", "_y", "_v")


def _meant(name: str, joints: Set[str]) -> str:
    """The name of the column that a column is probably meant to be; its own for a label."""
    joint, _, flag = name.rpartition("_")
    if joint in joints and flag != "v" and flag.lower() in ("v", *_FLAGS):
        return f"{joint}_v (0 unlabelled, 1 occluded, 2 visible)"
    return _OTHER_NAMES.get(name.lower().replace("_", ""), name)


def _called(meant: str) -> str:
    return f"columns called {meant}" if meant == _EDGES else f"a column called {meant}"


def _check_header(path: Path, line: int, header: Sequence[str]) -> None:
    names = [name for name in header if name]
    known = set(names)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    boxes = [name for name in _BOX if name in known]
    parts = {f"{name[:-2]}_{axis}" for name in names if _is_of_joint(name) for axis in "xy"}
    alone = [name for name in parts if name not in known]
    joints = {name[:-2] for name in parts}
    mistaken = [(name, meant) for name in names if (meant := _meant(name, joints)) != name]
    for is_bad, expected, found, advice in (
        (
            not names,
            "a header",
            "an empty file",
            "name the columns in the first line, such as image,left_knee_x,left_knee_y",
        ),
        (
            "image" not in known,
            "a column 'image'",
            some(names),
            "name the columns in the first line, separated by commas",
        ),
        (
            repeated,
            "different names of columns",
            f"{some(repeated)} more than once",
            "rename or remove a column",
        ),
        (
            0 < len(boxes) < 4,
            "all of the columns x0, y0, x1 and y1, or none",
            some(boxes),
            "without them, boxes are tight around the joints",
        ),
        (
            not parts,
            "columns NAME_x and NAME_y for each joint",
            some(names),
            "name them after the joints, such as left_knee_x and left_knee_y",
        ),
        (
            alone,
            "a column NAME_x and a column NAME_y for each joint",
            f"no {some(sorted(alone))}",
            "add it; other columns must not end in _x, _y or _v",
        ),
        (
            mistaken,
            _called(mistaken[0][1]) if mistaken else "",
            some([name for name, _ in mistaken[:1]]),
            "write what is expected, or rename this column if it is something else",
        ),
    ):
        if is_bad:
            raise refusal(path, line, expected, found, advice)


def _check_numbers(path: Path, line: int, names: Sequence[str], cells: Sequence[str]) -> None:
    """Refuse a cell that is neither empty nor a finite number."""
    for name, cell in zip(names, cells, strict=True):
        try:
            is_fine = not cell or isfinite(float(cell))
        except ValueError:
            is_fine = False
        if not is_fine:
            advice = "write it with a decimal point, and leave the cell empty where it is unknown"
            raise refusal(path, line, f"a number in column {name!r}", quoted(cell), advice)
