"""labels.csv: image-level labels of a folder of images, one row per image."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from lightning_pose.errors import DataError

__all__ = ["LabelTable", "read_label_table"]

_LARGEST = float(np.finfo(np.float32).max)

Column = Int64[np.ndarray, " R"] | Float32[np.ndarray, " R"]


@dataclass(frozen=True)
class LabelTable:
    """Image-level labels by name, one row per image.

    Attributes:
        images: The name of each row's image.
        classes: The names of each label's classes, sorted; a label without classes is a number.
        columns: The values of each label: class indices, -1 where unknown, or numbers, NaN where
            unknown.
    """

    images: Sequence[str] = ()
    classes: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)

    def of(self, images: Sequence[str]) -> dict[str, Column]:
        """The labels of some images, unknown for those that the table does not name.

        Args:
            images: The names of R images.

        Returns:
            R values per label.

        Example:
            >>> table = LabelTable(["b.jpg"], {"age": []}, {"age": np.array([31], np.float32)})
            >>> table.of(["a.jpg", "b.jpg"])["age"].tolist()
            [nan, 31.0]
        """
        rows = {image: row for row, image in enumerate(self.images)}
        # The last row is that of an image without one.
        chosen = [rows.get(image, len(rows)) for image in images]
        return {
            name: np.append(column, column.dtype.type(-1 if self.classes[name] else np.nan))[chosen]
            for name, column in self.columns.items()
        }


def read_label_table(path: Path) -> LabelTable:
    """Read a table of image-level labels, such as activity or height.

    The first row names the columns. The column `image` has the names of the images, such as
    walk.jpg, and each other column is a label: a number if its cells are numbers, a class if they
    are text. An empty cell is unknown.

    Args:
        path: A CSV file in UTF-8, which need not be there.

    Returns:
        The table, empty if there is no such file.

    Raises:
        DataError: The file cannot be read, names no images or an image twice, or mixes numbers and
            text in a column.
    """
    if not path.exists():
        return LabelTable()
    names, rows = _read_cells(path)
    if names.count("image") != 1 or len(set(names)) < len(names) or not all(names):
        raise DataError(
            f"Expected a column 'image' and other columns of different names in {path}, found "
            f"{names}; name the columns in the first row, with commas between them."
        )
    table = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    images = table.pop("image")
    for image, count in Counter(images).items():
        if count > 1 or not image:
            raise DataError(
                f"Expected the name of a different image in each row of {path}, found {image!r} in "
                f"{count} of them; keep one row for each image."
            )
    classes, columns = {}, {}
    for name, cells in table.items():
        classes[name], columns[name] = _column(name, cells, path)
    return LabelTable(images, classes, columns)


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of the columns and the cells of the other rows, without surrounding spaces."""
    try:
        # Spreadsheets begin their files with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            cells = [[cell.strip() for cell in line] for line in lines]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"Expected a CSV file in UTF-8 in {path}, found that it cannot be read ({error}); save "
            "it again, or remove it to train without image-level labels."
        ) from error
    names, *rows = [row for row in cells if any(row)] or [[]]
    for row in rows:
        if len(row) != len(names):
            raise DataError(
                f"Expected {len(names)} cells in every row of {path}, found {len(row)} in the row "
                f"of {row[0]!r}; put text that contains commas in double quotes."
            )
    return names, rows


def _column(name: str, cells: Sequence[str], path: Path) -> tuple[list[str], Column]:
    """The classes and the values of a label."""
    numbers, classes = {"": math.nan}, []
    for cell in sorted(set(cells) - {""}):
        try:
            numbers[cell] = float(cell)
        except ValueError:
            classes.append(cell)
        else:
            if not abs(numbers[cell]) <= _LARGEST:
                raise DataError(
                    f"Expected finite numbers in the column {name!r} of {path}, found {cell!r}; "
                    "leave a cell empty where the label is unknown."
                )
    if not classes:
        return [], np.array([numbers[cell] for cell in cells], dtype=np.float32)
    if len(numbers) > 1:
        raise DataError(
            f"Expected either numbers or the names of classes in the column {name!r} of {path}, "
            f"found {list(numbers)[1]!r} and {classes[0]!r}; leave a cell empty where the label is "
            "unknown."
        )
    place = {"": -1, **{label: index for index, label in enumerate(classes)}}
    return classes, np.array([place[cell] for cell in cells], dtype=np.int64)
