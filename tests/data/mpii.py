"""Writes a tiny MPII Human Pose in its real layouts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io

SIZE = (90, 120)  # height and width of every image
RELEASE = "mpii_human_pose_v1_u12_1.mat"
EMPTY = np.zeros((0, 0))


def names(first: int, count: int) -> list[str]:
    """The image of each person: people 1 and 2, 4 and 5, and so on share one."""
    return [f"{100 * (first + (2 * k + 1) // 3):09d}.jpg" for k in range(count)]


def write_mpii(root: Path, train: int = 8, val: int = 4) -> dict[str, list[dict[str, Any]]]:
    """Write train.json, valid.json, gt_valid.mat and images; return the people of the lists.

    Coordinates count from 1. Joint 10 of every third person has no label. Joint k in the ground
    truth lies k / 4 pixels to the right of that in valid.json.
    """
    rng = np.random.default_rng(0)
    people = {}
    (root / "images").mkdir(parents=True)
    for name, count, first in (("train", train, 1), ("valid", val, 501)):
        people[name] = [_person(rng, k, image) for k, image in enumerate(names(first, count))]
        (root / f"{name}.json").write_text(json.dumps(people[name]))
        for image in {person["image"] for person in people[name]}:
            write_image(root, image)
    write_ground_truth(root, people["valid"])
    return people


def write_ground_truth(root: Path, people: list[dict[str, Any]]) -> None:
    """Write gt_valid.mat, with head boxes that are 30 x 40 pixels large."""
    points = np.array([person["joints"] for person in people])
    points[:, :, 0] += np.arange(16) / 4
    seen = np.array([person["joints_vis"] for person in people])
    corners = np.zeros((2, 2, len(people)))
    corners[1] = [[30], [40]]
    truth = {
        "pos_gt_src": (points * seen[:, :, None]).transpose(1, 2, 0),
        "jnt_missing": 1 - seen.T,
        "headboxes_src": corners + 7,
    }
    scipy.io.savemat(root / "gt_valid.mat", truth)


def write_image(root: Path, name: str) -> None:
    """Write an image of its own colours."""
    image = np.random.default_rng(int(name[:9])).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    (root / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(
        str(root / "images" / name), cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    )


def _person(rng: np.random.Generator, number: int, image: str) -> dict[str, Any]:
    joints = np.round(rng.uniform((10, 10), (SIZE[1] - 10, SIZE[0] - 10), (16, 2)), 3)
    seen = np.ones(16, dtype=int)
    if number % 3 == 0:
        joints[10], seen[10] = (0, -1)[number % 2], 0
    return {
        "image": image,
        "center": [60.0, 45.0 + number],
        "scale": 0.3,
        "joints": joints.tolist(),
        "joints_vis": seen.tolist(),
    }


def structs(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """A struct array (1, N), as MATLAB writes it."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for place, row in enumerate(rows):
        array[0, place] = tuple(row.values())
    return array


def point(joint: int, x: float, y: float, **flag: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "id": np.uint8(joint), **flag}


def annotated(points: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """A person with joints, a head box of 30 x 40 pixels, and scale and position."""
    box = {"x1": 11.0, "y1": 12.0, "x2": 41.0, "y2": 52.0}
    holder = structs([{"point": structs(points)}])
    place = structs([{"x": 60.0, "y": 45.0}])
    return {**box, "annopoints": holder, "scale": 0.3, "objpos": place, **fields}


def write_release(
    root: Path, images: Sequence[tuple[str, Sequence[Mapping[str, Any]], str]]
) -> None:
    """Write the published file alone: the name, the people and the category of each image."""
    annolist = [
        {
            "image": structs([{"name": name}]),
            "annorect": structs(people) if people else EMPTY,
            "frame_sec": EMPTY,
            "vididx": EMPTY,
        }
        for name, people, _ in images
    ]
    acts = [
        {"act_name": category and "all of it", "cat_name": category, "act_id": np.int32(1)}
        for _, _, category in images
    ]
    release = {
        "annolist": structs(annolist),
        "img_train": np.ones((1, len(images))),
        "version": "12",
        "single_person": np.array([[EMPTY]] * len(images), dtype=object),
        "act": structs(acts).T,
        "video_list": "abc",
    }
    root.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / RELEASE, {"RELEASE": structs([release])}, do_compression=True)


POINTS = [point(k, 20.0 + 4 * k, 80.0 - 4 * k) for k in range(16)]


def write_crowds(root: Path, count: int = 10, activities: Sequence[str] = ("dancing",)) -> None:
    """Write images of one to three people, and the published file, with activities in turn."""
    images = [
        (f"{k + 1:09d}.jpg", [annotated(POINTS)] * (1 + k % 3), activities[k % len(activities)])
        for k in range(count)
    ]
    write_release(root, images)
    for name, _, _ in images:
        write_image(root, name)
