"""Whether files are there, for very many of them: folders are listed, files are not looked up."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

__all__ = ["first_missing"]

_ENTRIES = 65_536


def first_missing(root: Path, names: np.ndarray) -> str | None:
    """Find a file that is not there.

    A look-up for each of a million files takes minutes on some network disks; each folder is listed
    once instead, and only what is not listed is looked up.

    Args:
        root: The folder that relative names start from.
        names: Paths as bytes in UTF-8, sorted and different, as `np.unique` returns them.

    Returns:
        The first name without a file, or None if all are there.
    """
    is_listed = np.zeros(len(names), dtype=np.bool_)
    prefixes = {bytes(name[: name.rfind(b"/") + 1]) for name in names}
    for prefix in prefixes:
        for found in _listed(root / prefix.decode(), prefix):
            place = np.searchsorted(names, found).clip(max=len(names) - 1)
            is_listed[place[names[place] == found]] = True
    # A disk that ignores upper and lower case finds files that are listed by another name.
    unlisted = (bytes(name).decode() for name in names[~is_listed])
    return next((name for name in unlisted if not _is_file(root / name)), None)


def _listed(folder: Path, prefix: bytes) -> Iterator[np.ndarray]:
    """The names in a folder, behind a prefix; few at a time, because there may be millions."""
    try:
        with os.scandir(folder) as entries:
            while found := [prefix + os.fsencode(e.name) for e in islice(entries, _ENTRIES)]:
                yield np.array(found)
    except OSError:
        return


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
