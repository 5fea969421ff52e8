"""Writes a tiny Leeds Sports Pose Extended in its real layout."""

from pathlib import Path

import cv2
import numpy as np
import scipy.io

SIZE = (60, 50)  # height and width of every picture


def write_lspet(root: Path, count: int = 6, without_mask: tuple[int, ...] = (2,)) -> np.ndarray:
    """Write `count` people with random joints; return the array (14, 3, count) of joints.mat.

    Every third person has an invisible left wrist with junk coordinates, as in the real file.
    """
    rng = np.random.default_rng(0)
    height, width = SIZE
    joints = np.zeros((14, 3, count))
    joints[:, 0] = rng.uniform(5, width - 5, (14, count))
    joints[:, 1] = rng.uniform(5, height - 5, (14, count))
    joints[:, 2] = 1
    joints[11, :, ::3] = [[-37.0], [-512.0], [0.0]]
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    for number in range(1, count + 1):
        picture = rng.integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "images" / f"im{number:05d}.jpg"), picture)
        if number not in without_mask:
            mask = np.zeros(SIZE, dtype=np.uint8)
            mask[10:50, 10 : 30 + number] = 255
            cv2.imwrite(str(root / "masks" / f"im{number:05d}.png"), mask)
    return joints
