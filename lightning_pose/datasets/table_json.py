"""Tables of people as JSON lines: one object per line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import nan
from pathlib import Path
from typing import Any, NoReturn

from lightning_pose.datasets.table_rows import (
    OpenTable,
    Row,
    in_order,
    quoted,
    refusal,
    some,
    text_lines,
)

__all__ = ["open_json"]

_KEYS = ("image", "keypoints", "box", "mask", "split", "labels")
_POINTS = ((float, float), (float, float, float))
_EXAMPLE = '{"image": "a.jpg", "keypoints": {"left_knee": [12.5, 80]}}'


def open_json(path: Path, skeleton: Sequence[str] | None) -> OpenTable:
    """Read the first line of a table of JSON lines; `TableDataset` says which keys it has.

    Args:
        path: The file.
        skeleton: The joints of the skeleton; None if it is made of those of the table.

    Returns:
        The table; its rows raise a `DataError` at a line that cannot be used.

    Raises:
        DataError: The first line cannot be used, or its joints are not those of the skeleton.
    """
    entries = _entries(path)
    first = next(entries, None)
    if first is None:
        advice = f"write lines such as {_EXAMPLE}"
        raise refusal(path, 1, "a person as a JSON object", "an empty file", advice)
    line, entry = first
    joints = skeleton
    if isinstance(entry["keypoints"], dict):
        names = [_text(path, line, "the name of a joint", name) for name in entry["keypoints"]]
        joints = in_order(path, line, names, skeleton)
    if not joints:
        advice = f"write {_EXAMPLE}, or choose a skeleton for the table"
        raise refusal(path, line, "the names of the joints", "none", advice)
    labels = tuple(_text(path, line, "the name of a label", name) for name in entry["labels"])
    rows = (_row(path, *each, joints, labels) for each in chain([first], entries))
    return OpenTable(tuple(joints), labels, rows)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant}, which is no number of JSON")


# Numbers of any length become floats, in the end infinity, which is refused with the coordinates.
_DECODER = json.JSONDecoder(parse_int=float, parse_constant=_refuse_constant)


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of the lines that are not empty, with every key."""
    advice = "write one object per line and person, and null for what is not known"
    for line, text in enumerate(text_lines(path), 1):
        if not (text := text.strip()):
            continue
        try:
            entry = _DECODER.decode(text)
        except json.JSONDecodeError as error:
            found = f"{quoted(text)} ({error.msg} at character {error.pos + 1})"
            raise refusal(path, line, "a JSON object", found, advice) from error
        except ValueError as error:
            raise refusal(path, line, "a JSON object", str(error), advice) from error
        except RecursionError as error:
            raise refusal(path, line, "a JSON object", "too many brackets", advice) from error
        if not isinstance(entry, dict):
            raise refusal(path, line, "a JSON object", quoted(entry), advice)
        if unknown := [key for key in entry if key not in _KEYS]:
            expected = f"the keys {', '.join(_KEYS)}"
            raise refusal(path, line, expected, some(unknown), "rename or remove it")
        entry = dict.fromkeys(_KEYS) | entry
        if entry["labels"] is None:
            entry["labels"] = {}
        for key, kinds, expected in (
            ("keypoints", (dict, list), "an object or a list 'keypoints'"),
            ("labels", (dict,), "an object 'labels'"),
        ):
            if not isinstance(entry[key], kinds):
                raise refusal(path, line, expected, quoted(entry[key]), f"write {_EXAMPLE}")
        yield line, entry


def _row(
    path: Path, line: int, entry: Mapping[str, Any], joints: Sequence[str], labels: Sequence[str]
) -> Row:
    keypoints, written = entry["keypoints"], entry["labels"]
    for kind, names, known in (("joints", keypoints, joints), ("labels", written, labels)):
        if isinstance(names, dict) and not names.keys() <= set(known):
            unknown = [name for name in names if name not in known]
            advice = "correct it; the first line has every name, null where it is not labelled"
            raise refusal(path, line, f"{kind} of the first line", some(unknown), advice)
    if isinstance(keypoints, dict):
        keypoints = [keypoints.get(joint) for joint in joints]
    if len(keypoints) != len(joints):
        expected, found = f"{len(joints)} joints", str(len(keypoints))
        raise refusal(path, line, expected, found, "write null for an unlabelled joint")
    values: list[float] = []
    for joint, point in zip(joints, keypoints, strict=True):
        if point is None:
            values += (nan, nan, nan)
        elif isinstance(point, list) and tuple(map(type, point)) in _POINTS:
            values += point
            values += (nan,) * (3 - len(point))
        else:
            expected = f"[x, y], [x, y, v] or null for {joint!r}"
            raise refusal(path, line, expected, quoted(point), "write numbers")
    box = [nan] * 4 if entry["box"] is None else entry["box"]
    if not isinstance(box, list) or tuple(map(type, box)) != (float,) * 4:
        expected, advice = "a box [x0, y0, x1, y1] or null", "write numbers"
        raise refusal(path, line, expected, quoted(box), advice)
    image, mask, split = (
        "" if entry[key] is None else _text(path, line, f"a text {key!r}", entry[key])
        for key in ("image", "mask", "split")
    )
    classes = [_label(path, line, name, written.get(name)) for name in labels]
    return Row(line, image, mask, split, box, values, classes)


def _text(path: Path, line: int, expected: str, value: Any) -> str:
    """A text that UTF-8 can encode, as half a surrogate pair cannot be."""
    try:
        if isinstance(value, str):
            value.encode()
            return value.strip()
    except UnicodeEncodeError:
        pass
    raise refusal(path, line, expected, quoted(value), "correct it, or write null for none")


def _label(path: Path, line: int, name: str, value: Any) -> float | str | None:
    if value is None or type(value) is float:
        return value
    return _text(path, line, f"a number, a text or null as the label {name!r}", value) or None
