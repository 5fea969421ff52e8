"""Files that are complete or not there, even if the process or the machine stops meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["PART", "replacing", "sync_file", "sync_folder"]

PART = ".part"
"""The suffix of a file that is not complete yet."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside its final place, and rename it once it is complete and on disk.

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
        sync_file(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until what a file contains would survive a power failure."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a rename in a folder would survive a power failure, where that is possible."""
    # The file is in its place already; some network drives refuse this, and so does Windows.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
