"""MATLAB files, checked before SciPy reads them: a damaged one can take the whole process down."""

import io
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scipy.io

from lightning_pose.errors import DataError

__all__ = ["read_mat"]

# The numbers are those of MathWorks' "MAT-File Format", version 5.
_MATRIX, _COMPRESSED = 14, 15
_INT8, _INT32, _UINT32 = 1, 5, 6
_ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x08

_LARGEST_DEPTH = 20
_MOST_BYTES = 2**30


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read variables of a MATLAB file of version 5 to 7.2.

    SciPy's reader trusts the sizes in a file, and some damaged files crash it. So the sizes of all
    arrays, cells and structs are compared with the bytes that are there first.

    Args:
        path: The file.
        names: The variables to read.

    Returns:
        Those that are there, as `scipy.io.loadmat` returns them.

    Raises:
        DataError: The file is damaged, of another version, or holds objects, functions or sparse
            matrices.
    """
    try:
        content = path.read_bytes()
        _check_file(content)
        found: dict[str, Any] = scipy.io.loadmat(io.BytesIO(content), variable_names=list(names))
        return found
    # SciPy's documentation does not limit what it raises for a damaged file.
    except Exception as error:
        raise DataError(
            f"Expected a MATLAB file in {path}, found that it cannot be read "
            f"({' '.join(str(error).split()) or type(error).__name__}); download it again."
        ) from error


def _check_file(content: bytes) -> None:
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or content[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise ValueError("it is not of version 5, as `save -v7` writes it")
    start = 128
    while start < len(content):
        kind, data, start = _element(content, start, order)
        if kind == _COMPRESSED:
            unpack = zlib.decompressobj()
            data = unpack.decompress(data, _MOST_BYTES)
            if not unpack.eof:
                raise ValueError("compressed data that are cut off or larger than a gigabyte")
            kind, data, _ = _element(data, 0, order)
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} in place of an array")
        _check_matrix(data, order, 0)


def _element(content: bytes, start: int, order: str) -> tuple[int, bytes, int]:
    """The type and the data of an element, and where the next one starts."""
    if start + 8 > len(content):
        raise ValueError("an element that is cut off")
    kind, size = struct.unpack_from(f"{order}II", content, start)
    if kind >> 16:  # Up to four bytes are stored within the tag.
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError("a small element of more than four bytes")
        return kind, content[start + 4 : start + 4 + size], start + 8
    end = start + 8 + size
    if end > len(content):
        raise ValueError("an element that is larger than what contains it")
    # All but compressed elements are padded to multiples of eight bytes.
    return kind, content[start + 8 : end], end if kind == _COMPRESSED else end + -size % 8


def _check_matrix(data: bytes, order: str, depth: int) -> None:
    if not data and depth:
        return  # An empty cell or field.
    if depth > _LARGEST_DEPTH:
        raise ValueError("cells and structs that are nested too deeply")
    flags = _part(data, 0, order, _UINT32)
    shape = _part(data, flags[1], order, _INT32)
    name = _part(data, shape[1], order, _INT8)
    if len(flags[0]) != 8 or len(shape[0]) % 4 or not 8 <= len(shape[0]) <= 128:
        raise ValueError("an array without a class and a shape")
    word = struct.unpack_from(f"{order}I", flags[0])[0]
    kind, is_complex = word & 0xFF, bool(word >> 8 & _COMPLEX)
    sides = struct.unpack(f"{order}{len(shape[0]) // 4}i", shape[0])
    if min(sides) < 0:
        raise ValueError(f"an array of shape {sides}")
    count, start = math.prod(sides), name[1]
    if kind in _NUMERIC or kind == _CHAR:
        for _ in range(2 if is_complex else 1):
            stored, values, start = _element(data, start, order)
            size = _ITEM_SIZES.get(stored)
            if size is None or len(values) % size:
                raise ValueError(f"numbers of type {stored}")
            # UTF-8 may take several bytes per character.
            if len(values) // size != count and not (kind == _CHAR and stored == 16):
                raise ValueError(f"{len(values) // size} numbers for the shape {sides}")
    elif kind in (_CELL, _STRUCT):
        if kind == _STRUCT:
            length, start = _part(data, start, order, _INT32)
            fields, start = _part(data, start, order, _INT8)
            longest = struct.unpack(f"{order}i", length)[0] if len(length) == 4 else 0
            if longest < 1 or len(fields) % longest:
                raise ValueError("a struct without names")
            count *= len(fields) // longest
        if count * 8 > len(data):
            raise ValueError(f"cells of shape {sides} in {len(data)} bytes")
        for _ in range(count):
            inner, values, start = _element(data, start, order)
            if inner != _MATRIX:
                raise ValueError(f"an element of type {inner} in a cell")
            _check_matrix(values, order, depth + 1)
    else:
        raise ValueError(f"an array of class {kind}, which is not read here")


def _part(data: bytes, start: int, order: str, expected: int) -> tuple[bytes, int]:
    kind, values, following = _element(data, start, order)
    if kind != expected:
        raise ValueError(f"an element of type {kind} in place of type {expected}")
    return values, following
