"""Writes a tiny folder of labelled photographs in its real layout."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

SIZE = (60, 50)  # height and width of every image


def write_folder(
    root: Path,
    count: int = 6,
    sizes: Sequence[tuple[int, int]] = (SIZE,),
    without_mask: Sequence[int] = (1,),
) -> np.ndarray:
    """Write 0000.jpg, 0001.jpg, ... of one person each; return x, y and confidence (count, 25, 3).

    The images alternate between their sizes. Person n has n % 3 unlabelled joints, the last ones.
    """
    rng = np.random.default_rng(0)
    for folder in ("images", "keypoints", "masks"):
        (root / folder).mkdir(parents=True)
    joints = rng.uniform(0.1, 1, (count, 25, 3)).round(3)
    for person in range(count):
        name, (height, width) = f"{person:04d}", sizes[person % len(sizes)]
        joints[person, :, 0] = (5 + (width - 10) * joints[person, :, 0]).round(3)
        joints[person, :, 1] = (5 + (height - 10) * joints[person, :, 1]).round(3)
        joints[person, 25 - person % 3 :] = 0
        image = rng.integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "images" / f"{name}.jpg"), image)
        write_people(root, name, joints[person].ravel().tolist())
        if person not in without_mask:
            mask = np.zeros((height, width), dtype=np.uint8)
            mask[10:50, 10 : 30 + person] = 255
            cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    return joints


def write_people(root: Path, name: str, *people: Sequence[float]) -> None:
    """Write the keypoints of an image as OpenPose does."""
    content = {
        "version": 1.3,
        "people": [
            {"person_id": [-1], "pose_keypoints_2d": list(person), "face_keypoints_2d": []}
            for person in people
        ],
    }
    (root / "keypoints" / f"{name}_keypoints.json").write_text(json.dumps(content))
