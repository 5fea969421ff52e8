"""Two other ways from image files to training inputs, with which input_pipeline.py compares ours.

Both read one person from files, crop with random rotation, scale and flip, and return a normalised
float tensor, a heatmap for each joint, the joints' weights and the mask, if there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import albumentations as A
import cv2
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from torch import Tensor

from lightning_pose.skeletons import LSP14

SIZE, STRIDE, SIGMA = 256, 4, 2.0  # Sigma in cells of the heatmaps.
CELLS = SIZE // STRIDE
ENLARGE, ROTATION, SCALE, FLIP = 1.25, 30.0, (0.75, 1.25), 0.5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None]


@dataclass
class Files:
    """The files and the labels of some people, one entry per person."""

    images: list[str]
    masks: list[str] | None
    keypoints: np.ndarray  # (N, 14, 2)
    visible: np.ndarray  # (N, 14)
    boxes: np.ndarray  # (N, 4)

    def square(self, person: int) -> tuple[np.ndarray, float]:
        """Centre and side length of the square crop of one person."""
        low, high = self.boxes[person, :2], self.boxes[person, 2:]
        return (low + high) / 2, ENLARGE * float((high - low).max())


def normalised(image: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (image.float() / 255 - mean) / std


def simple_baselines(files: Files) -> Callable[[int], Inputs]:
    """The joints dataset of Simple Baselines; a mask is warped as the image is."""
    rng = np.random.default_rng(0)

    def read(person: int) -> Inputs:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image, mask = cv2.imread(files.images[person], flags), None
        if files.masks is not None:
            mask = cv2.imread(files.masks[person], cv2.IMREAD_GRAYSCALE)
        joints, visible = files.keypoints[person].copy(), files.visible[person]
        centre, side = files.square(person)
        side *= float(np.clip(1 + 0.25 * rng.standard_normal(), *SCALE))
        angle = 0.0
        if rng.random() <= 0.6:
            angle = np.clip(ROTATION * rng.standard_normal(), -2 * ROTATION, 2 * ROTATION)
        if rng.random() <= FLIP:
            last, order = image.shape[1] - 1, LSP14.flip_order
            image, mask = image[:, ::-1], None if mask is None else mask[:, ::-1]
            joints[:, 0] = last - joints[:, 0]
            joints, visible = joints[order], visible[order]
            centre = np.array((last - centre[0], centre[1]))
        sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
        up, across = (side / 2 * np.array(v) for v in ((sine, -cosine), (cosine, sine)))
        matrix = cv2.getAffineTransform(
            np.array((centre, centre + up, centre + across), dtype=np.float32),
            np.array(((0.5, 0.5), (0.5, 0), (1, 0.5)), dtype=np.float32) * SIZE,
        )
        crop = cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        if mask is not None:
            mask = cv2.warpAffine(mask, matrix, (SIZE, SIZE), flags=cv2.INTER_NEAREST)
            mask = torch.from_numpy(mask)
        for joint in np.flatnonzero(visible):
            joints[joint] = matrix @ (*joints[joint], 1.0)
        heatmaps, weight = looped_gaussians(joints, visible)
        tensor = normalised(torch.from_numpy(crop.transpose(2, 0, 1)).contiguous())
        return tensor, torch.from_numpy(heatmaps), torch.from_numpy(weight), mask

    return read


def looped_gaussians(joints: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One Gaussian per joint, rounded to a cell and cut off at 3 sigma, and the joints' weights."""
    reach = int(3 * SIGMA)
    heatmaps = np.zeros((len(joints), CELLS, CELLS), dtype=np.float32)
    weight = visible.astype(np.float32)
    for joint, (x, y) in enumerate(joints):
        column, row = int(x / STRIDE + 0.5), int(y / STRIDE + 0.5)
        left, top, right, bottom = column - reach, row - reach, column + reach, row + reach
        if left >= CELLS or top >= CELLS or right < 0 or bottom < 0:
            weight[joint] = 0
        if weight[joint] == 0:
            continue
        steps = np.arange(2 * reach + 1, dtype=np.float32) - reach
        gaussian = np.exp(-(steps**2 + steps[:, None] ** 2) / (2 * SIGMA**2))
        rows = slice(max(top, 0), min(bottom + 1, CELLS))
        columns = slice(max(left, 0), min(right + 1, CELLS))
        heatmaps[joint, rows, columns] = gaussian[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return heatmaps, weight


def albumentations_chain(files: Files) -> Callable[[int], Inputs]:
    """A chain of albumentations on the square around the person."""
    flip = A.HorizontalFlip(p=FLIP)
    chain = A.Compose(
        [
            A.Affine(scale=SCALE, rotate=(-ROTATION, ROTATION), keep_ratio=True, p=1.0),
            A.Resize(SIZE, SIZE),
            flip,
            A.Normalize(MEAN, STD),
            ToTensorV2(),
        ],
        keypoint_params=A.KeypointParams("xy", remove_invisible=False),
        seed=0,
    )

    def read(person: int) -> Inputs:
        image = cv2.cvtColor(cv2.imread(files.images[person]), cv2.COLOR_BGR2RGB)
        centre, side = files.square(person)
        corner, length = np.rint(centre - side / 2).astype(int), max(1, round(side))
        given = {
            "image": cut_square(image, corner, length),
            "keypoints": files.keypoints[person] - corner,
        }
        if files.masks is not None:
            mask = cv2.imread(files.masks[person], cv2.IMREAD_GRAYSCALE)
            given["mask"] = cut_square(mask, corner, length)
        done = chain(**given)
        joints, visible = done["keypoints"].astype(np.float32), files.visible[person]
        if flip.params:  # They are empty where chance has left it out.
            joints, visible = joints[LSP14.flip_order], visible[LSP14.flip_order]
        inside = ((joints >= 0) & (joints < SIZE)).all(axis=1) & visible
        cells = np.arange(CELLS, dtype=np.float32)
        x, y = np.exp(-((cells - joints.T[:, :, None] / STRIDE) ** 2) / (2 * SIGMA**2))
        heatmaps = torch.from_numpy(y[:, :, None] * x[:, None, :])
        return done["image"], heatmaps, torch.from_numpy(inside).float(), done.get("mask")

    return read


def cut_square(image: np.ndarray, corner: np.ndarray, length: int) -> np.ndarray:
    """A square of an image, black beyond it."""
    (left, top), (height, width) = corner.tolist(), image.shape[:2]
    inner = image[max(top, 0) : top + length, max(left, 0) : left + length]
    below, right = max(top + length - height, 0), max(left + length - width, 0)
    return cv2.copyMakeBorder(inner, max(-top, 0), below, max(-left, 0), right, cv2.BORDER_CONSTANT)
