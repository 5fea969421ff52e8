"""What the two kinds of table have in common: rows of one form, lines of text, and sentences."""

import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning_pose.errors import DataError

__all__ = ["OpenTable", "Row", "in_order", "quoted", "refusal", "some", "text_lines"]

_LONGEST_LINE = 1_000_000

_REPR = reprlib.Repr()
_REPR.maxstring = 60


class Row(NamedTuple):
    """One person as written in a table, with NaN for a number that is not there.

    Attributes:
        line: The number of the line, from 1.
        image: The image's file.
        mask: The mask's file; empty for none.
        split: The split; empty for none.
        box: x0, y0, x1, y1.
        joints: x, y, v of one joint after another.
        labels: A number, the name of a class, or None.
    """

    line: int
    image: str
    mask: str
    split: str
    box: list[float]
    joints: list[float]
    labels: list[float | str | None]


class OpenTable(NamedTuple):
    """A table of which the first line has been read.

    Attributes:
        joints: The names of the joints, in the order of `Row.joints`.
        labels: The names of the labels, in the order of `Row.labels`.
        rows: The people, read from the file one by one.
    """

    joints: tuple[str, ...]
    labels: tuple[str, ...]
    rows: Iterator[Row]


def refusal(path: Path, line: int, expected: str, found: str, advice: str) -> DataError:
    """The error for a line that cannot be used.

    Args:
        path: The table.
        line: The number of the line, from 1.
        expected: What should be in the line.
        found: What is in it.
        advice: What to do.

    Returns:
        The error, with one sentence.
    """
    return DataError(f"Expected {expected} in line {line} of {path}, found {found}; {advice}.")


def quoted(value: Any) -> str:
    """A value from a file as it is shown in a sentence, shortened if it is long."""
    return _REPR.repr(value)


def some(names: Sequence[str]) -> str:
    """Names from a file, as they are shown in a sentence: the first few.

    Example:
        >>> some(["neck", "nose", "chin", "left_ear", "right_ear", "tail"])
        "'neck', 'nose', 'chin', 'left_ear' and 2 more"
    """
    shown = names if len(names) <= 5 else names[:4]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(map(quoted, shown)) + more


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a table as text, each with its end; only one of them is in memory.

    Args:
        path: The table.

    Yields:
        The lines, without the byte order mark that spreadsheets write at the start.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or has a line of more than a megabyte.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    found = f"more than {_LONGEST_LINE} bytes"
                    raise refusal(path, number, "one person", found, "write a line per person")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        advice = "save the table as text in UTF-8"
        raise refusal(path, number, "text in UTF-8", error.reason, advice) from error
    except OSError as error:
        raise DataError(
            f"Expected to read the table {path}, found: {error.strerror}; correct its permissions."
        ) from error


def in_order(
    path: Path, line: int, found: Sequence[str], skeleton: Sequence[str] | None
) -> tuple[str, ...]:
    """The joints of a table in the order of the skeleton.

    Args:
        path: The table.
        line: The line that names the joints.
        found: Those names.
        skeleton: The joints of the skeleton; None if it is made of those of the table.

    Returns:
        The joints.

    Raises:
        DataError: They are not the same.
    """
    if skeleton is None:
        return tuple(found)
    ours, theirs = set(skeleton), set(found)
    missing = [name for name in skeleton if name not in theirs]
    unknown = [name for name in found if name not in ours]
    if missing or unknown:
        differences = [f"no {some(missing)}"] * bool(missing) + [some(unknown)] * bool(unknown)
        advice = "correct the table, or choose the skeleton of these joints"
        raise refusal(path, line, "the skeleton's joints", ", but ".join(differences), advice)
    return tuple(skeleton)
