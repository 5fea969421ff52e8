"""Annotation files in COCO's format: checked, and reduced to a few arrays."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from lightning_pose.datasets.coco_entries import Entries, number, short
from lightning_pose.datasets.coco_masks import COCOMasks
from lightning_pose.errors import ConfigError, DataError

__all__ = ["COCOPeople", "is_below", "read_people"]

_KEYS = {
    "images": ("id", "file_name", "height", "width"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
"""The lists of a file, and what each of their entries has at least."""

# Pillow refuses images of this size.
_MOST_PIXELS = 2**28


@dataclass
class COCOPeople:
    """The people of one category with the numbers of the file, one row per person.

    Attributes:
        joints: The names of the joints, in snake_case.
        limbs: Pairs of joints that a drawing connects, counted from 1.
        ids: The `id` of each annotation.
        keypoints: x, y and flag of each joint.
        boxes: The left and upper edge, the width and the height.
        areas: Square pixels, 0 where the file has none.
        masks: The segmentations.
        image_names: The `file_name` of each person's image, in UTF-8.
        image_sizes: Height and width of each person's image.
    """

    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    ids: Int64[np.ndarray, " N"]
    keypoints: Float64[np.ndarray, "N K 3"]
    boxes: Float64[np.ndarray, "N 4"]
    areas: Float64[np.ndarray, " N"]
    masks: COCOMasks
    image_names: np.ndarray
    image_sizes: Int64[np.ndarray, "N 2"]


def read_people(path: Path, category: str, min_joints: int) -> COCOPeople:
    """Read the people of one category; crowds, which are not single people, are left out.

    Args:
        path: The annotation file.
        category: The name of the category.
        min_joints: Fewest labelled joints per person; one without 'keypoints' has none.

    Returns:
        The people, in the order of the file.

    Raises:
        ConfigError: There is no such file, or no such category in it.
        DataError: The file is damaged, or has no such people.
    """
    content = _read_json(path)
    kind, joints, limbs = _read_category(path, content["categories"], category)
    rows = [
        row
        for row in content["annotations"]
        if number(path, row, "category_id") == kind and number(path, row, "iscrowd") <= 0
    ]
    people = Entries(path, "annotation", rows)
    # Some tools leave this out, or write an empty list, for a person with only a mask.
    points = people.numbers("keypoints", 3 * len(joints), default=[0.0] * 3 * len(joints))
    keypoints = points.reshape(len(rows), len(joints), 3)
    flags = keypoints[:, :, 2]
    known = np.isin(flags, (0, 1, 2)).all(axis=1)
    people.require(known, "the flags 0, 1 and 2 in 'keypoints'", flags)
    boxes = people.numbers("bbox", 4)
    ordered = (boxes[:, 2:] >= 0).all(axis=1)
    people.require(ordered, "a width and height of 0 or more in 'bbox'", boxes)
    areas = people.numbers("area", 1, default=0.0)[:, 0]
    people.require(areas >= 0, "an 'area' of 0 or more", areas)
    image, names, sizes = _find_images(path, content["images"], people)
    kept = np.flatnonzero((flags > 0).sum(axis=1) >= min_joints)
    if not len(kept):
        raise DataError(
            f"Expected people of the category {category!r} in {path} with {min_joints} or more "
            f"labelled joints, found none among {len(rows)}; use another file or category."
        )
    masks = COCOMasks()
    for index in kept.tolist():
        height, width = sizes[image[index]].tolist()
        try:
            masks.append(rows[index].get("segmentation"), (height, width))
        except ValueError as error:
            expected = f"polygons or run lengths of {width} x {height} pixels in 'segmentation'"
            raise people.refusal(index, expected, str(error)) from error
    return COCOPeople(
        joints=joints,
        limbs=limbs,
        ids=people.ids[kept],
        keypoints=keypoints[kept],
        boxes=boxes[kept],
        areas=areas[kept],
        masks=masks,
        image_names=names[image[kept]],
        image_sizes=sizes[image[kept]],
    )


def _read_json(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the lists of a file, and refuse one whose entries are not those of COCO."""
    if not path.is_file():
        raise ConfigError(
            f"Expected an annotation file of COCO at {path}, found no such file; correct the path, "
            "or, for COCO itself, set data.download."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    # ValueError is damaged JSON or damaged UTF-8.
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"Expected an annotation file of COCO in {path}, found that it cannot be read "
            f"({' '.join(str(error).split())}); download or export it again."
        ) from error
    for name, keys in _KEYS.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(
                f"Expected an object with the lists {', '.join(_KEYS)} in {path}, found no list "
                f"{name!r}; use an annotation file of COCO."
            )
        for index, entry in enumerate(entries):
            missing = [key for key in keys if key not in entry] if isinstance(entry, dict) else keys
            if missing:
                raise DataError(
                    f"Expected {', '.join(keys)} in each entry of {name!r} of {path}, found none "
                    f"of the name {missing[0]!r} at index {index}, in {short(entry)}; correct the "
                    "file."
                )
    return {name: content[name] for name in _KEYS}


def _read_category(
    path: Path, entries: Sequence[dict[str, Any]], category: str
) -> tuple[int, tuple[str, ...], tuple[tuple[int, int], ...]]:
    """The `id` of a category, its joints and its limbs."""
    ids = Entries(path, "category", entries).ids
    categories = [entry["name"] for entry in entries]
    if categories.count(category) != 1:
        raise ConfigError(
            f"Expected one category with the name {category!r} in {path}, found "
            f"{short(categories)}; choose another category."
        )
    place = categories.index(category)
    where = f"of the category {category!r} of {path}"
    names: Any = entries[place].get("keypoints")
    if not isinstance(names, list) or not names or not all(map(_is_name, names)):
        raise DataError(
            f"Expected names of joints in 'keypoints' {where}, found {short(names)}; use a file "
            "with keypoints, such as person_keypoints_val2017.json."
        )
    joints = tuple(re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names)
    if len(set(joints)) < len(joints):
        raise DataError(
            f"Expected each joint in 'keypoints' {where} to have its own name, found "
            f"{short(names)}; rename them."
        )
    limbs = entries[place].get("skeleton", [])
    if not isinstance(limbs, list) or not all(_is_limb(limb, len(joints)) for limb in limbs):
        raise DataError(
            f"Expected pairs of joints from 1 to {len(joints)} in 'skeleton' {where}, found "
            f"{short(limbs)}; correct the file."
        )
    return int(ids[place]), joints, tuple((first, second) for first, second in limbs)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.strip() != "" and name.isprintable()


def _is_limb(limb: Any, joints: int) -> bool:
    if not isinstance(limb, list) or len(limb) != 2:
        return False
    return all(isinstance(joint, int) and 1 <= joint <= joints for joint in limb)


def _find_images(
    path: Path, entries: Sequence[dict[str, Any]], people: Entries
) -> tuple[Int64[np.ndarray, " N"], np.ndarray, Int64[np.ndarray, "I 2"]]:
    """Which image each person is in, and the names and sizes of all images."""
    images = Entries(path, "image", entries)
    sizes = np.stack((images.integers("height"), images.integers("width")), axis=1)
    # Each side first, because the product could overflow.
    sides = sizes.clip(0, _MOST_PIXELS + 1).prod(axis=1)
    fine = (sizes > 0).all(axis=1) & (sides <= _MOST_PIXELS)
    images.require(fine, f"a height and width of 1 to {_MOST_PIXELS} pixels in all", sizes)
    for index, entry in enumerate(entries):
        if not is_below(entry["file_name"]):
            expected = "the path of an image below its folder in 'file_name'"
            raise images.refusal(index, expected, short(entry["file_name"]))
    wanted = people.integers("image_id")
    people.require(np.isin(wanted, images.ids), "the 'id' of an image in 'image_id'", wanted)
    order = np.argsort(images.ids)
    image = order[np.searchsorted(images.ids, wanted, sorter=order)]
    return image, np.array([entry["file_name"].encode() for entry in entries], dtype=bytes), sizes


def is_below(name: Any) -> bool:
    """Whether a `file_name` stays in the folder that it is joined to, on every system.

    Example:
        >>> is_below("train/a.jpg"), is_below("../a.jpg"), is_below("C:a.jpg")
        (True, False, False)
    """
    if not isinstance(name, str) or not name.isprintable():
        return False
    path = PureWindowsPath(name)
    return bool(path.parts) and not path.anchor and ".." not in path.parts
