"""Damaged MATLAB files are refused before SciPy, which some of them would crash, sees them."""

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from lightning_pose.datasets import matlab
from lightning_pose.datasets.matlab import read_mat
from lightning_pose.errors import DataError
from tests.data.mpii import EMPTY, structs

CONTENT: dict[str, Any] = {
    "joints": np.arange(210.0).reshape(14, 3, 5),
    "name": "abc",
    "cells": np.array([[np.eye(3), "x"]], dtype=object),
    "person": {"a": np.arange(4), "b": {"c": "deep"}},
    "complex": np.array([1 + 2j]),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "people": structs([{"point": structs([{"x": 1.5, "id": "0"}] * 3)}, {"point": EMPTY}]),
}


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "joints.mat"
    scipy.io.savemat(path, CONTENT, do_compression=request.param)
    return path


def test_a_good_file_is_read_as_scipy_reads_it(path: Path) -> None:
    expected = scipy.io.loadmat(path)
    found = read_mat(path, list(CONTENT))
    assert set(CONTENT) <= set(found)
    np.testing.assert_array_equal(found["joints"], CONTENT["joints"])
    for name in CONTENT:
        assert repr(found[name]) == repr(expected[name])
    assert "joints" not in read_mat(path, ["name"])


def damage(content: bytes, rng: random.Random) -> bytes:
    """Cut the file off, or change some bytes, within compressed elements too."""
    kind, size = struct.unpack_from("<II", content, 128)
    if kind == 15 and rng.random() < 0.7:
        inner = bytearray(zlib.decompress(content[136 : 136 + size]))
        for _ in range(rng.choice([1, 2, 5])):
            inner[rng.randrange(min(len(inner), 120))] = rng.randrange(256)
        packed = zlib.compress(bytes(inner))
        return content[:128] + struct.pack("<II", 15, len(packed)) + packed
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        changed[rng.randrange(128, len(content))] = rng.choice([0, 1, 128, 255, rng.randrange(256)])
    return bytes(changed)


def test_a_damaged_file_is_refused_or_read_and_never_crashes(path: Path) -> None:
    # Without the checks, SciPy takes the whole process down within these files.
    content, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(400):
        path.write_bytes(damage(content, rng))
        try:
            read_mat(path, list(CONTENT))
        except DataError:
            refused += 1
    assert 100 < refused < 400


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape: tuple[int, ...], *values: bytes) -> bytes:
    flags = element(6, struct.pack("<II", kind, 0))
    sides = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + sides + element(1, b"joints") + b"".join(values))


HEADER = bytes(124) + b"\x00\x01IM"

PACKED = zlib.compress(bytes(2**20), 9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not of version 5"),
        (bytes(512), "not of version 5"),
        (HEADER + b"\x0e\x00\x00", "cut off"),
        (HEADER + element(9, bytes(8)), "type 9 in place of an array"),
        (HEADER + element(15, PACKED[:-8]), "compressed data"),
        (HEADER + struct.pack("<II", 14, 2**31) + bytes(64), "larger than what contains it"),
        (HEADER + struct.pack("<HH", 14, 200) + bytes(12), "more than four bytes"),
        (HEADER + matrix(6, (2, 2), element(9, bytes(24))), r"3 numbers for the shape \(2, 2\)"),
        (HEADER + matrix(6, (-1, 2), element(9, b"")), "shape"),
        (HEADER + matrix(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8))), "1 numbers for"),
        (HEADER + matrix(6, (1, 1), element(77, bytes(8))), "numbers of type 77"),
        (HEADER + matrix(1, (1000, 1000)), "cells of shape"),
        (HEADER + matrix(1, (1, 1), element(9, bytes(8))), "type 9 in a cell"),
        (HEADER + matrix(17, (1, 1)), "class 17, which is not read"),
        (HEADER + matrix(2, (1, 1), element(5, bytes(4)), element(1, b"")), "without names"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "joints.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_mat(path, ["joints"])


def test_data_that_unpack_to_more_than_the_limit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": np.zeros(1000)}, do_compression=True)
    assert read_mat(tmp_path / "joints.mat", ["joints"])["joints"].shape == (1, 1000)
    monkeypatch.setattr(matlab, "_MOST_BYTES", 1000)
    with pytest.raises(DataError, match="larger than a gigabyte"):
        read_mat(tmp_path / "joints.mat", ["joints"])


def test_cells_in_cells_without_end_are_refused(tmp_path: Path) -> None:
    inner = b""
    for _ in range(60):
        inner = matrix(1, (1, 1), inner)
    (tmp_path / "joints.mat").write_bytes(HEADER + inner)
    with pytest.raises(DataError, match="nested too deeply"):
        read_mat(tmp_path / "joints.mat", ["joints"])
