"""Writes a tiny COCO keypoints in its published layout."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as coco

SIZE = (60, 50)  # height and width of every image

NAMES = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
]  # fmt: skip


def segmentation(form: int, left: int) -> Any:
    """A rectangle of 20 x 40 pixels in one of COCO's forms: polygons, run lengths, compressed."""
    if form == 0:
        # Two halves, which overlap.
        return [
            [left, 10, left + 12, 10, left + 12, 50, left, 50],
            [left + 8, 10, left + 20, 10, left + 20, 50, left + 8, 50],
        ]
    mask = np.zeros(SIZE, dtype=np.uint8, order="F")
    mask[10:50, left : left + 20] = 1
    runs = np.diff(np.flatnonzero(np.diff(mask.ravel("F"), prepend=1 - mask[0, 0], append=2)))
    counts = [0, *runs.tolist()] if mask[0, 0] else runs.tolist()
    packed = coco.encode(mask)["counts"].decode()
    return {"size": list(SIZE), "counts": counts if form == 1 else packed}


def write_coco(root: Path, split: str = "val", count: int = 6, first_id: int = 1) -> dict[str, Any]:
    """Write `count` people, two to an image; return the content of their annotation file.

    Their `id` runs from `first_id`. The last image also has a person without joints and a crowd.
    """
    rng = np.random.default_rng(first_id)
    (root / f"{split}2017").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, (count + 1) // 2 + 1):
        name = f"{first_id + number:012d}.jpg"
        entry = {"id": number + 500, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        images.append(entry)
        image = rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)
        image = cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"{split}2017" / name), image)
    for person in range(count + 2):
        left = 3 + person % 5
        flags = np.where(np.arange(17) % 5 == person % 5, 0, rng.integers(1, 3, 17))
        points = np.stack((rng.integers(left, left + 20, 17), rng.integers(10, 50, 17), flags), 1)
        points[flags == 0] = 0
        entry = {
            "id": first_id + person,
            "image_id": images[min(person // 2, len(images) - 1)]["id"],
            "category_id": 1,
            "iscrowd": int(person == count + 1),
            "bbox": [left, 10.0, 20.0, 40.0],
            "area": 800.0,
            "keypoints": [0] * 51 if person >= count else points.ravel().tolist(),
            "segmentation": segmentation(person % 3, left),
        }
        annotations.append(entry)
    person = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[16, 14], [14, 12]]}
    content = {"images": images, "annotations": annotations, "categories": [person]}
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"person_keypoints_{split}2017.json").write_text(json.dumps(content))
    return content
