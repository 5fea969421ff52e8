"""Entries of the lists in COCO's files: read column by column, or refused by their `id`."""

import reprlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from lightning_pose.errors import DataError

__all__ = ["Entries", "number", "short"]

# What a file contains may be long, or nested deeply.
_repr = reprlib.Repr()
_repr.maxstring, _repr.maxlist = 80, 20


def short(value: Any) -> str:
    """A value from a file as it is shown in a sentence, shortened if it is long."""
    return _repr.repr(value)


def number(path: Path, row: dict[str, Any], key: str) -> int | float:
    """A number that decides whether an annotation is used; a text such as "0" would count as true.

    Args:
        path: The file, for messages.
        row: An annotation.
        key: The name of the number.

    Returns:
        The number, -1 if there is none.

    Raises:
        DataError: It is no number.
    """
    value = row.get(key)
    if value is None:
        return -1
    if not isinstance(value, int | float):
        raise DataError(
            f"Expected a number in {key!r} in annotation {short(row['id'])} of {path}, found "
            f"{short(value)}; correct the file."
        )
    return value


class Entries:
    """Entries of one list of a file, read column by column.

    Raises:
        DataError: An `id` is no whole number of 0 or more, or two entries have the same.
    """

    def __init__(self, path: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
        self.path, self.name, self.rows = path, name, rows
        self.ids = self.integers("id")
        self.require(self.ids >= 0, "an 'id' of 0 or more", self.ids)
        _, first = np.unique(self.ids, return_index=True)
        alone = np.isin(np.arange(len(rows)), first)
        self.require(alone, "an 'id' that no other entry has", self.ids)

    def integers(self, key: str) -> Int64[np.ndarray, " N"]:
        """One whole number per entry."""
        values = array("q")
        for index, row in enumerate(self.rows):
            try:
                values.append(row[key])
            except (TypeError, OverflowError) as error:
                expected = f"a whole number of 64 bits in {key!r}"
                raise self.refusal(index, expected, short(row[key])) from error
        return np.array(values, dtype=np.int64)

    def numbers(
        self, key: str, count: int, default: float | list[float] | None = None
    ) -> Float64[np.ndarray, "N C"]:
        """`count` finite numbers per entry: a list, or one number without a list.

        Args:
            key: The name of the numbers.
            count: How many there are.
            default: Those of an entry without the key, or with null or an empty list; None if each
                must have it.
        """
        values = array("d")
        for index, row in enumerate(self.rows):
            value: Any = row.get(key)
            if default is not None and value in (None, []):
                value = default
            try:
                if count == 1:
                    values.append(value)
                elif isinstance(value, list) and len(value) == count:
                    values.extend(value)
                else:
                    raise TypeError
            except (TypeError, OverflowError) as error:
                is_short = isinstance(value, list) and len(value) != count
                found = f"{len(value)} of them" if is_short else short(value)
                expected = f"{count} numbers" if count > 1 else "a number"
                raise self.refusal(index, f"{expected} in {key!r}", found) from error
        table = np.array(values).reshape(len(self.rows), count)
        # Where a dataset keeps them in float32, they stay finite.
        fine = (np.abs(table) < np.finfo(np.float32).max).all(axis=1)
        self.require(np.asarray(fine), f"finite numbers in {key!r}", table)
        return table

    def require(self, fine: Any, expected: str, found: np.ndarray) -> None:
        """Refuse the first entry that is not fine, an array of flags."""
        if not fine.all():
            index = int(np.argmin(fine))
            raise self.refusal(index, expected, short(found[index].tolist()))

    def refusal(self, index: int, expected: str, found: str) -> DataError:
        """The error for one entry, by its place in the list."""
        where = f"{self.name} {short(self.rows[index]['id'])} of {self.path}"
        return DataError(
            f"Expected {expected} in {where}, found {found}; correct or remove this {self.name}."
        )
