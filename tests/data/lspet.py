"""Writes a tiny Leeds Sports Pose Extended in its real layout."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import scipy.io

SIZE = (60, 50)  # height and width of every image


def write_lspet(
    root: Path,
    count: int = 6,
    without_mask: tuple[int, ...] = (2,),
    sizes: Sequence[tuple[int, int]] = (SIZE,),
) -> np.ndarray:
    """Write `count` people with random joints; return the array (14, 3, count) of joints.mat.

    The images alternate between their sizes. Every third person has an invisible left wrist with
    junk coordinates, as in the real file.
    """
    rng = np.random.default_rng(0)
    joints = np.ones((14, 3, count))
    joints[:, :2] = write_images(root, count, 5, without_mask, sizes, rng)
    joints[11, :, ::3] = [[-37.0], [-512.0], [0.0]]
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    return joints


def write_images(
    root: Path,
    count: int,
    digits: int,
    without_mask: tuple[int, ...],
    sizes: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> np.ndarray:
    """Write images and masks by number; return (14, 2, count) points in them, from 0."""
    points = np.stack((rng.uniform(0, 1, (14, count)), rng.uniform(0, 1, (14, count))), axis=1)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for person in range(count):
        number, (height, width) = person + 1, sizes[person % len(sizes)]
        points[:, 0, person] = 5 + (width - 10) * points[:, 0, person]
        points[:, 1, person] = 5 + (height - 10) * points[:, 1, person]
        image = rng.integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "images" / f"im{number:0{digits}d}.jpg"), image)
        if number not in without_mask:
            mask = np.zeros((height, width), dtype=np.uint8)
            mask[10:50, 10 : 30 + number] = 255
            cv2.imwrite(str(root / "masks" / f"im{number:0{digits}d}.png"), mask)
    return points
