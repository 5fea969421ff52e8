"""Image-level labels as files have them: a number for everybody, or a class for everybody."""

from array import array
from math import nan
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from lightning_pose.datasets.table_rows import quoted, refusal

__all__ = ["Column", "LabelColumn", "parse_label"]

_LARGEST = float(np.finfo(np.float32).max)
_MOST_CLASSES = 1000

Column = Int64[np.ndarray, " R"] | Float32[np.ndarray, " R"]


def parse_label(cell: str) -> float | str | None:
    """A number if the cell is one, the name of a class if it is not, None if it is empty.

    Example:
        >>> parse_label("1.75"), parse_label(" golf "), parse_label("")
        (1.75, 'golf', None)
    """
    text = cell.strip()
    try:
        # To Python, 1_000 is a number.
        return float(text) if "_" not in text else text
    except ValueError:
        return text or None


class LabelColumn:
    """The values of one label so far: numbers, or classes counted from 0.

    Args:
        path: The file, for messages.
        name: The label.

    Example:
        >>> column = LabelColumn(Path("labels.csv"), "sport")
        >>> for line, sport in enumerate(["golf", None, "archery"], start=2):
        ...     column.append(line, sport)
        >>> column.classes, column.values().tolist()
        (['archery', 'golf'], [1, -1, 0])
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._values = array("f")
        self._places: dict[str, int] = {}
        self._kind: type | None = None

    def append(self, line: int, value: float | str | None) -> None:
        """Add a value.

        Args:
            line: The line of the file that it is from.
            value: A number, the name of a class, or None where the label is unknown.

        Raises:
            DataError: The number is not finite, the others are of the other kind, or there are more
                than 1,000 classes.
        """
        if value is not None:
            self._check(line, value)
        if isinstance(value, str):
            value = self._places.setdefault(value, len(self._places))
        self._values.append(nan if value is None else value)

    @property
    def classes(self) -> list[str]:
        """The classes in alphabetical order; none if the label is a number."""
        return sorted(self._places)

    def values(self) -> Column:
        """The places among `classes`, -1 where unknown, or the numbers, NaN where unknown."""
        values = np.frombuffer(self._values, dtype=np.float32)
        if not self._places:
            return values
        places = np.empty(len(self._places), dtype=np.int64)
        places[[self._places[name] for name in self.classes]] = np.arange(len(places))
        is_unknown = np.isnan(values)
        return np.where(is_unknown, -1, places[np.where(is_unknown, 0, values).astype(np.int64)])

    def _check(self, line: int, value: float | str) -> None:
        self._kind = self._kind or type(value)
        is_many = len(self._places) >= _MOST_CLASSES and value not in self._places
        is_large = isinstance(value, float) and not abs(value) < _LARGEST
        for is_bad, expected, advice in (
            (
                type(value) is not self._kind,
                "a number" if self._kind is float else "a text that is no number",
                "a label is a number for everybody, or a class for everybody",
            ),
            (is_large, "a finite number", "leave out what is not known"),
            (is_many, f"at most {_MOST_CLASSES} classes", "remove a label that is not one"),
        ):
            if is_bad:
                expected = f"{expected} as the label {self.name!r}"
                raise refusal(self.path, line, expected, quoted(value), advice)
