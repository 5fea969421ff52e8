"""labels.csv: image-level labels of a folder of images, one row per image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lightning_pose.datasets.labels import Column, LabelColumn, parse_label
from lightning_pose.datasets.table_csv import csv_records
from lightning_pose.datasets.table_rows import quoted, refusal, some

__all__ = ["LabelTable", "read_label_table"]


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
    records = csv_records(path)
    line, header = next(records, (1, []))
    names = [name.strip() for name in header]
    if "image" not in names or len(set(names)) < len(names) or not all(names):
        expected = "a column 'image' and other columns of different names"
        advice = "name the columns in the first row, with commas between them"
        raise refusal(path, line, expected, some(names) or "none", advice)
    place = names.index("image")
    images: dict[str, int] = {}
    labels = [LabelColumn(path, name) for name in names if name != "image"]
    for line, cells in records:
        if len(cells) != len(names):
            advice = "put text that contains commas in double quotes"
            raise refusal(path, line, f"{len(names)} cells", str(len(cells)), advice)
        image = cells.pop(place).strip()
        if not image or image in images:
            found = f"{quoted(image)} as in line {images[image]}" if image else "none"
            raise refusal(path, line, "the name of another image", found, "give each image one row")
        images[image] = line
        for label, cell in zip(labels, cells, strict=True):
            label.append(line, parse_label(cell))
    return LabelTable(
        list(images),
        {label.name: label.classes for label in labels},
        {label.name: label.values() for label in labels},
    )
