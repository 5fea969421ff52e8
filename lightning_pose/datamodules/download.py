"""Published datasets: downloaded, checked and unpacked, once."""

import hashlib
import shutil
import tarfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import NoReturn
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn

from lightning_pose.atomic import PART
from lightning_pose.datamodules.unpack import DISK_ERRORS, DamagedError, unpack
from lightning_pose.errors import ConfigError, DataError

__all__ = ["Archive", "fetch"]

_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 5  # in a row that bring nothing
_PAUSE = 1.0  # seconds after the first of them; twice as long after each further one
_CHUNK = 2**20


@dataclass(frozen=True)
class Archive:
    """An archive of a published dataset, zip or tar.

    Attributes:
        url: Its official address.
        provides: The files and folders of it that are used, as paths below the dataset's root. In
            the archive, they may lie in further folders.
        largest: More bytes than the archive or what is unpacked from it has.
        page: The page of the dataset, for people.
        sha256: Its checksum; None where none is published. Then the checksums within the archive
            must do.
    """

    url: str
    provides: tuple[str, ...]
    largest: int
    page: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return PurePosixPath(urlsplit(self.url).path).name

    def is_in(self, root: Path) -> bool:
        """Whether everything that it provides is in a folder."""
        return all((root / entry).exists() for entry in self.provides)


def fetch(root: Path, archives: Sequence[Archive]) -> None:
    """Download and unpack what is missing in the folder of a dataset.

    Files and folders that are there stay as they are. Each folder is complete when it appears. What
    was downloaded before an interruption is not downloaded again. Of several processes, one works
    and the others wait.

    Args:
        root: The folder, which is created if it is not there.
        archives: The archives of the dataset.

    Raises:
        ConfigError: An address cannot be reached or has no such file.
        DataError: A file is not the published one, or is damaged.
    """
    if all(archive.is_in(root) for archive in archives):
        return
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        for archive in archives:
            if not archive.is_in(root):  # Another process may have fetched it meanwhile.
                _fetch(root, archive)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process downloads to a folder."""
    lock = FileLock(root / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        rank_zero_info(f"Waiting for another process that downloads to {root}.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(root: Path, archive: Archive) -> None:
    file, unpacked = root / f".{archive.name}", root / f".{archive.name}.unpacked"
    rank_zero_info(f"Downloading {archive.url} to {root}.")
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        if not file.exists():
            part = root / f".{archive.name}{PART}"
            _download(archive, part, progress)
            _check(archive, part)
            part.rename(file)
        shutil.rmtree(unpacked, ignore_errors=True)  # Of a process that was killed.
        task = progress.add_task(f"Unpacking {archive.name}", total=None)
        try:
            for size in unpack(file, unpacked, archive.provides, archive.largest):
                progress.advance(task, size)
            _move(unpacked, root, archive.provides)
        except DamagedError as error:
            file.unlink()
            _refuse(archive, f"a damaged one ({error}), which was removed", error)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    file.unlink()


def _download(archive: Archive, part: Path, progress: Progress) -> None:
    """Receive the whole file, over several connections if they break."""
    task = progress.add_task(archive.name, total=None)
    failures = 0
    while True:
        before = _size(part)
        try:
            if _receive(archive, part, progress, task):
                return
            reason = "the connection was closed before the end"
        except HTTPError as error:
            error.close()
            if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{before}":
                return  # It was complete.
            if error.code == 416:
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                _give_up(archive, part, f"{error.code} {error.reason}", error)
            reason = f"{error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
        failures = 0 if _size(part) > before else failures + 1
        if failures == _ATTEMPTS:
            _give_up(archive, part, reason)
        time.sleep(_PAUSE * 2 ** max(failures - 1, 0))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(archive: Archive, part: Path, progress: Progress, task: TaskID) -> bool:
    """Append what one connection brings; returns whether that is the end of the file."""
    received = _size(part)
    headers = {"Range": f"bytes={received}-"} if received else {}
    request = Request(archive.url, headers=headers)  # noqa: S310  # The addresses are constants.
    with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        range_ = response.headers.get("Content-Range", "")
        if response.status != 206 or not range_.startswith(f"bytes {received}-"):
            received = 0  # The server sends the whole file.
        total = None if response.length is None else received + response.length
        progress.update(task, total=total, completed=received)
        with part.open("ab" if received else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                received += len(chunk)
                progress.update(task, completed=received)
                if received > archive.largest:
                    part.unlink()
                    _refuse(archive, f"more than {archive.largest} bytes")
    return total is None or received == total


def _check(archive: Archive, part: Path) -> None:
    """Refuse and remove a file that is not the published one."""
    if archive.sha256 is not None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != archive.sha256:
            part.unlink()
            _refuse(archive, f"one with the SHA-256 {digest}, which was removed")
    elif not zipfile.is_zipfile(part) and not tarfile.is_tarfile(part):
        part.unlink()
        _refuse(archive, "a file that is no archive, which was removed")


def _move(unpacked: Path, root: Path, entries: Sequence[str]) -> None:
    """Move files and folders to their places, except where there is one."""
    found = {}
    for entry in entries:
        parts = PurePosixPath(entry).parts
        places = [p for p in unpacked.rglob(parts[-1]) if p.parts[-len(parts) :] == parts]
        if not places:
            raise DamagedError(f"there is no {entry} in it")
        found[root / entry] = min(places, key=lambda place: len(place.parts))
    for target, place in found.items():
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            place.rename(target)


def _refuse(archive: Archive, found: str, error: Exception | None = None) -> NoReturn:
    raise DataError(
        f"Expected the published archive at {archive.url}, found {found}; try again, or get it "
        f"from {archive.page} and put {_listed(archive)} into the data's root."
    ) from error


def _give_up(archive: Archive, part: Path, reason: str, error: Exception | None = None) -> NoReturn:
    kept = f" ({_size(part)} bytes are kept)" if _size(part) else ""
    raise ConfigError(
        f"Expected to download {archive.url}, found: {reason}{kept}; try again later, or get it "
        f"from {archive.page} and put {_listed(archive)} into the data's root."
    ) from error


def _listed(archive: Archive) -> str:
    return " and ".join(archive.provides)
