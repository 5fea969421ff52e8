import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lightning_pose.datamodules.unpack import DamagedError, unpack

CONTENT = np.random.default_rng(0).bytes(3000)


def zip_with(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes], how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tar_with(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def run(file: Path, *wanted: str, largest: int = 10**6) -> dict[str, bytes]:
    folder = file.parent / "out"
    sizes = list(unpack(file, folder, wanted, largest))
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert sum(sizes) == sum(path.stat().st_size for path in files.values())
    return {name: path.read_bytes() for name, path in files.items()}


def test_the_wanted_files_and_folders_are_unpacked_from_wherever_they_are(tmp_path):
    names = ["set/images/b/a.jpg", "set/joints.mat", "set/old_images/a.jpg", "README"]
    file = zip_with(tmp_path / "a", *((name, name.encode()) for name in names))
    assert run(file, "images", "joints.mat") == {name: name.encode() for name in names[:2]}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_of_any_compression(tmp_path, mode):
    members = [(entry("."), b""), (entry("./images/a.jpg"), CONTENT)]
    members[0][0].type = tarfile.DIRTYPE
    file = tar_with(tmp_path / "a", *members, mode=mode)
    assert run(file, "images") == {"images/a.jpg": CONTENT}


EVIL = ["../evil.jpg", "images/../../evil.jpg", "/tmp/evil.jpg", "C:evil.jpg", "a\\..\\..\\evil"]


@pytest.mark.parametrize("name", EVIL)
def test_no_path_leaves_the_folder(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    info = zipfile.ZipInfo("x")
    info.filename = name
    zipped = zip_with(inner / "a", (info, b"evil"))
    for file in (zipped, tar_with(inner / "b", (entry(name), b"evil"))):
        with pytest.raises(DamagedError, match="may leave its folder"):
            run(file, "images", Path(name).name)
        assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


KINDS = {
    "symlink": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "pipe": tarfile.FIFOTYPE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    link = entry("images", KINDS[kind], "/tmp" if kind == "symlink" else "images/a.jpg")
    file = tar_with(tmp_path / "a", (link, b""), (entry("images/b.jpg"), b"b"))
    with pytest.raises(DamagedError, match="'images' in it is a link or a device"):
        run(file, "images")


def test_links_of_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("images")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DamagedError, match="'images' in it is a link or a device"):
        run(zip_with(tmp_path / "a", (link, b"/tmp")), "images")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_grows_without_end_is_stopped(tmp_path, kind):
    bomb = bytes(3 * 10**6)
    if kind == "zip":
        member = ("images/a.jpg", bomb)
        file = zip_with(tmp_path / "a", member, how=zipfile.ZIP_DEFLATED)
    else:
        file = tar_with(tmp_path / "a", (entry("images/a.jpg"), bomb))
    assert file.stat().st_size < 10**5
    with pytest.raises(DamagedError, match="more than 1000000 bytes"):
        run(file, "images", largest=10**6)
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.jpg"))
    assert written <= 10**6


def test_a_member_that_comes_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = zip_with(tmp_path / "a", ("images/a.jpg", b"first"), ("images/a.jpg", b"second"))
    with pytest.raises(DamagedError, match="exists"):
        run(file, "images")


def test_an_encrypted_zip_is_refused(tmp_path):
    file = zip_with(tmp_path / "a", ("images/a.jpg", CONTENT))
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    content[6] |= 1
    file.write_bytes(bytes(content))
    with pytest.raises(DamagedError, match="encrypted"):
        run(file, "images")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
def test_a_truncated_archive_is_refused(tmp_path, kind, keep):
    if kind == "zip":
        file = zip_with(tmp_path / "a", ("images/a.jpg", CONTENT))
    else:
        mode = "w:gz" if kind == "tar.gz" else "w"
        file = tar_with(tmp_path / "a", (entry("images/a.jpg"), CONTENT), mode=mode)
    size = 3000 if kind == "tar" else file.stat().st_size  # A tar ends with empty blocks.
    os.truncate(file, int(size * keep))
    with pytest.raises(DamagedError):
        run(file, "images")


def test_the_checksum_at_the_end_of_a_compressed_tar_is_compared(tmp_path):
    file = tar_with(tmp_path / "a", (entry("images/a.jpg"), CONTENT))
    content = file.read_bytes()
    assert struct.unpack("<I", content[-4:])[0] == len(gzip.decompress(content))
    file.write_bytes(content[:-8] + bytes(4) + content[-4:])
    with pytest.raises(DamagedError, match="CRC check failed"):
        run(file, "images")


def test_an_archive_of_exactly_the_largest_size_is_unpacked(tmp_path):
    file = zip_with(tmp_path / "a", ("images/a.jpg", bytes(600)), ("images/b.jpg", bytes(400)))
    run(file, "images", largest=1000)
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.jpg")) == 1000
    file = zip_with(tmp_path / "b", ("other/a.jpg", bytes(600)), ("other/b.jpg", bytes(401)))
    with pytest.raises(DamagedError, match="more than 1000 bytes"):
        run(file, "other", largest=1000)
