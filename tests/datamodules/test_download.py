import hashlib
import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lightning_pose.datamodules import download
from lightning_pose.datamodules.download import Archive, fetch
from lightning_pose.errors import ConfigError, DataError
from tests.site import Site

PICTURE = np.random.default_rng(0).bytes(5000)
NAME = "set.zip"


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, value)
    return content.getvalue()


PUBLISHED = zipped(
    {"set/README.txt": b"hello", "set/images/a.jpg": PICTURE, "set/joints.mat": b"j"}
)


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    with Site() as site:
        site.files[NAME] = PUBLISHED
        yield site


def archive(site, *, checked: bool = True, largest: int = 10**6) -> Archive:
    digest = hashlib.sha256(PUBLISHED).hexdigest() if checked else None
    provides = ("images", "joints.mat")
    return Archive(site.url(NAME), provides, largest, "https://set.example", digest)


def contents(root: Path) -> dict[str, bytes]:
    """The files of a folder, without the lock, which stays."""
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    files.pop(".download.lock", None)
    return files


WHOLE = {"images/a.jpg": PICTURE, "joints.mat": b"j"}


@pytest.mark.parametrize("checked", [True, False])
def test_what_is_used_of_an_archive_is_there_and_nothing_else(site, tmp_path, checked):
    fetch(tmp_path / "deep" / "set", [archive(site, checked=checked)])
    assert contents(tmp_path / "deep" / "set") == WHOLE


def test_what_is_there_is_not_downloaded_again(site, tmp_path):
    fetch(tmp_path, [archive(site)])
    fetch(tmp_path, [archive(site)])
    assert site.asked == [(NAME, None)]


def test_what_is_there_is_never_overwritten(site, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").write_bytes(b"mine")
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == {"images/mine.jpg": b"mine", "joints.mat": b"j"}


def test_a_connection_that_is_cut_is_resumed_where_it_ended(site, tmp_path):
    site.cuts = [2000, 1000]
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE
    assert site.asked == [(NAME, None), (NAME, "bytes=2000-"), (NAME, "bytes=3000-")]


def test_a_server_that_does_not_know_ranges_sends_the_whole_file_again(site, tmp_path):
    site.ranges, site.cuts = False, [2000, 1000]
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE


def test_a_later_run_continues_an_earlier_one(site, tmp_path):
    site.cuts = [2000, 0, 0, 0, 0, 0]
    message = r"found: the connection was closed.*\(2000 bytes are kept\).*https://set\.example"
    with pytest.raises(ConfigError, match=message):
        fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == {f".{NAME}.part": PUBLISHED[:2000]}
    site.asked.clear()
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE
    assert site.asked == [(NAME, "bytes=2000-")]


def test_a_file_that_was_complete_is_used(site, tmp_path):
    (tmp_path / f".{NAME}.part").write_bytes(PUBLISHED)
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE
    assert site.asked == [(NAME, f"bytes={len(PUBLISHED)}-")]


def test_a_rest_of_another_file_is_replaced(site, tmp_path):
    (tmp_path / f".{NAME}.part").write_bytes(bytes(len(PUBLISHED) + 10))
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE


def test_a_process_that_was_killed_while_unpacking_leaves_no_half_folder(site, tmp_path):
    unpacked = tmp_path / f".{NAME}.unpacked" / "set" / "images"
    unpacked.mkdir(parents=True)
    (unpacked / "a.jpg").write_bytes(PICTURE[:100])
    (tmp_path / f".{NAME}").write_bytes(PUBLISHED)
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE
    assert site.asked == []


def test_a_file_that_is_not_there_is_asked_for_once(site, tmp_path):
    site.files.clear()
    with pytest.raises(ConfigError, match=r"found: 404 .*put images and joints\.mat into"):
        fetch(tmp_path, [archive(site)])
    assert len(site.asked) == 1
    assert contents(tmp_path) == {}


def test_a_busy_server_is_asked_again(site, tmp_path):
    site.statuses = [503, 500, 429]
    fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == WHOLE


def test_a_server_that_stays_busy_is_given_up(site, tmp_path):
    site.statuses = [503] * 9
    with pytest.raises(ConfigError, match="found: 503 Service Unavailable; try again later"):
        fetch(tmp_path, [archive(site)])
    assert len(site.asked) == download._ATTEMPTS


def test_a_server_that_says_nothing_is_given_up(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.05)
    site.hangs = True
    with pytest.raises(ConfigError, match="timed out"):
        fetch(tmp_path, [archive(site)])


def test_pauses_start_with_a_second_and_double(tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    with Site() as site:
        gone = archive(site)
    with pytest.raises(ConfigError, match="refused"):
        fetch(tmp_path, [gone])
    assert pauses == [1, 2, 4, 8]


def test_no_server_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    with Site() as site:
        gone = archive(site)
    with pytest.raises(ConfigError, match="refused"):
        fetch(tmp_path, [gone])


def test_another_file_is_refused_and_removed(site, tmp_path):
    site.files[NAME] = zipped({"images/a.jpg": b"other", "joints.mat": b"j"})
    with pytest.raises(DataError, match=r"found one with the SHA-256 [0-9a-f]{64}"):
        fetch(tmp_path, [archive(site)])
    assert contents(tmp_path) == {}


def test_a_page_in_place_of_an_archive_is_refused_and_removed(site, tmp_path):
    site.files[NAME] = b"<html>This dataset has moved.</html>"
    with pytest.raises(DataError, match="found a file that is no archive"):
        fetch(tmp_path, [archive(site, checked=False)])
    assert contents(tmp_path) == {}


def test_an_archive_without_the_files_is_refused_and_removed(site, tmp_path):
    site.files[NAME] = zipped({"images/a.jpg": PICTURE})
    with pytest.raises(DataError, match=r"\(there is no joints\.mat in it\)"):
        fetch(tmp_path, [archive(site, checked=False)])
    assert contents(tmp_path) == {}


def test_a_damaged_archive_is_refused_and_removed(site, tmp_path):
    damaged = bytearray(PUBLISHED)
    damaged[PUBLISHED.index(PICTURE) + 7] ^= 1
    site.files[NAME] = bytes(damaged)
    with pytest.raises(DataError, match=r"a damaged one \(Bad CRC-32"):
        fetch(tmp_path, [archive(site, checked=False)])
    assert contents(tmp_path) == {}


def test_a_file_without_end_is_refused(site, tmp_path):
    with pytest.raises(DataError, match="more than 3000 bytes"):
        fetch(tmp_path, [archive(site, largest=3000)])
    assert contents(tmp_path) == {}


def test_two_at_once_download_once(site, tmp_path):
    threads = [threading.Thread(target=fetch, args=(tmp_path, [archive(site)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(tmp_path) == WHOLE
    assert site.asked == [(NAME, None)]
