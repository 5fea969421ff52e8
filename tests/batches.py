"""Batches of synthetic people for tests: joints are coloured dots, masks are discs."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lightning_pose.batch import Batch, collate
from lightning_pose.geometry import crop_matrix, transform_points
from lightning_pose.sample import Annotation, CroppedSample
from lightning_pose.skeletons import LSP14

if TYPE_CHECKING:
    from lightning_pose.module import PoseModule

LABELS = {"activity": ["run", "sit", "jump"], "height": []}
"""The image-level labels of these people."""


def make_sample(seed: int, size: tuple[int, int] = (64, 64)) -> CroppedSample:
    """One person whose joints lie well inside the crop, with rotation, scale and its own frame."""
    rng = np.random.default_rng(seed)
    height, width = size
    matrix = crop_matrix(
        np.array([20, 30, 120, 130], dtype=np.float32), size, rotation=15.0, scale=0.9
    )
    linear, offset = np.linalg.inv(matrix[:, :2]), matrix[:, 2]
    inside = rng.uniform(8, [width - 9, height - 9], (LSP14.num_joints, 2)).astype(np.float32)
    source = ((inside - offset) @ linear.T).astype(np.float32)
    image = rng.integers(90, 110, (height, width, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width]
    mask = (np.hypot(rows - height / 2, columns - width / 2) < rng.uniform(10, 24)).astype(np.int8)
    image[mask == 1] += 40
    for joint, (x, y) in enumerate(inside):
        dot = np.hypot(rows - y, columns - x) < 2
        image[dot] = np.array([joint * 17, 255 - joint * 17, (joint % 4) * 80], dtype=np.uint8)
    visibility = np.full(LSP14.num_joints, 2, dtype=np.uint8)
    neck, head_top = source[LSP14.head[0]], source[LSP14.head[1]]
    shoulder, hip = source[LSP14.torso[0]], source[LSP14.torso[1]]
    return CroppedSample(
        image=image,
        keypoints=transform_points(matrix, source),
        visibility=visibility,
        mask=mask,
        crop=matrix,
        image_size=(160, 150),
        annotation=Annotation(
            keypoints=source,
            visibility=visibility,
            box=np.array([20, 30, 120, 130], dtype=np.float32),
            head_size=float(np.linalg.norm(neck - head_top)),
            torso_size=float(np.linalg.norm(shoulder - hip)),
            area=float(mask.sum()),
            labels={"activity": seed % 3, "height": 160.0 + seed},
            person_id=seed,
            image_id=f"drawn_{seed}.png",
        ),
    )


def make_batch(count: int = 4, size: tuple[int, int] = (64, 64), seed: int = 0) -> Batch:
    """A batch of such people, with all joints, mask pixels and labels known."""
    return collate([make_sample(seed + person, size) for person in range(count)])


def forget_labels(batch: Batch, people: slice = slice(None)) -> None:
    """Make everything that is labelled unknown, for some people of a batch."""
    batch.visibility[people] = 0
    batch.mask[people] = -1
    batch.labels["activity"][people] = -1
    batch.labels["height"][people] = torch.nan


def training_step(model: "PoseModule", batch: Batch) -> Tensor:
    """One training step of a model without a trainer."""
    model.log = lambda *_, **__: None
    return model.training_step(batch, 0)
