"""Archives from the network: unpacked into a folder that nothing in them leaves."""

import errno
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from lightning_pose.datasets.coco_file import is_below

__all__ = ["DISK_ERRORS", "DamagedError", "unpack"]

DISK_ERRORS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
)
"""A full disk, and a folder without permission: not the fault of a file or of a server."""

_CHUNK = 2**20


class DamagedError(Exception):
    """An archive cannot be unpacked, or must not be."""


_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # It is encrypted, or compressed in a way that Python does not know.
)


def unpack(file: Path, folder: Path, wanted: Sequence[str], largest: int) -> Iterator[int]:
    """Unpack some files and folders of an archive.

    Python's own `extractall` knows safe ways for tar from 3.11.4 on and none that also bounds the
    size, so members are written here, one by one, as plain files.

    Args:
        file: A zip, or a tar of any compression.
        folder: The folder to unpack to.
        wanted: Paths of files and folders; in the archive, they may lie in further folders.
        largest: The most bytes to write.

    Yields:
        The number of bytes after they were written.

    Raises:
        DamagedError: The archive is damaged or has more bytes, or a member of it is a link or a
            device, or has a path that may leave the folder.
    """
    entries = [PurePosixPath(entry).parts for entry in wanted]
    left = largest
    try:
        for name, content in _members(file):
            if not is_below(name):
                raise DamagedError(f"the path {name!r} in it may leave its folder")
            path = PurePosixPath(name)
            parents = [place.parts for place in (path, *path.parents)]
            if not any(parts[-len(entry) :] == entry for parts in parents for entry in entries):
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as unpacked:
                while chunk := content.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise DamagedError(f"there are more than {largest} bytes in it")
                    unpacked.write(chunk)
                    yield len(chunk)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise DamagedError(" ".join(str(error).split())) from error


def _members(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The name and content of each file in an archive, in which there is nothing but files."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as zipped:
            for info in zipped.infolist():
                if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise DamagedError(f"{info.filename!r} in it is a link or a device")
                if not info.is_dir():
                    with zipped.open(info) as content:
                        yield info.filename, content
        return
    with tarfile.open(file) as tar:
        for member in tar:
            if not member.isreg() and not member.isdir():
                raise DamagedError(f"{member.name!r} in it is a link or a device")
            if (opened := tar.extractfile(member)) is not None:
                yield member.name, opened
        # The checksum of a compressed file is behind the end of the archive in it.
        while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
            pass
