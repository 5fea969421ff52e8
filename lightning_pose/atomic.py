"""Files that are complete or not there, even if the process is killed while it writes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["PART", "replacing"]

PART = ".part"
"""The suffix of a file that is not complete yet."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside its final place, and rename it once it is complete.

    Args:
        path: The file; one that is there is replaced.

    Yields:
        The open file to write to. If writing fails, it is removed and `path` stays as it was.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.txt")
        >>> with replacing(path) as file:
        ...     _ = file.write(b"whole")
        ...     path.exists()
        False
        >>> path.read_bytes()
        b'whole'
    """
    aside = path.with_name(path.name + PART)
    try:
        with aside.open("wb") as file:
            yield file
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
