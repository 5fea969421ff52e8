"""Writes a tiny Leeds Sports Pose in its real layout."""

from pathlib import Path

import numpy as np
import scipy.io

from tests.data.lspet import SIZE, write_images


def write_lsp(root: Path, count: int = 6, without_mask: tuple[int, ...] = (2,)) -> np.ndarray:
    """Write `count` people with random joints; return the array (3, 14, count) of joints.mat.

    Every third person has an occluded left wrist; its coordinates are as good as any.
    """
    joints = np.zeros((3, 14, count))
    points = write_images(root, count, 4, without_mask, (SIZE,), np.random.default_rng(1))
    joints[:2] = points.transpose(1, 0, 2) + 1  # Pixels count from 1.
    joints[2, 11, ::3] = 1
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    return joints
