"""Random people for tests of metrics and callbacks: labels, crops and predictions, no images."""

import itertools
from dataclasses import fields, replace

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_pose.batch import Batch
from lightning_pose.geometry import apply_affine
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14


def make_people(count: int = 12, seed: int = 0, size: tuple[int, int] = (24, 20)) -> Batch:
    """People with joints outside the crop, unlabelled joints, unknown sizes, padding and labels."""
    draw = torch.Generator().manual_seed(seed)
    height, width = size
    joints = LSP14.num_joints
    source = torch.rand(count, joints, 2, generator=draw) * 100
    visibility = torch.randint(0, 3, (count, joints), generator=draw, dtype=torch.uint8)
    visibility[4::7] = 0
    angle = torch.rand(count, generator=draw) - 0.5
    zoom = torch.rand(count, generator=draw) * 0.2 + 0.2
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    crop = torch.stack((cosine, -sine, zoom * 0 - 2, sine, cosine, zoom * 0 + 1), 1).view(-1, 2, 3)
    cropped = apply_affine(crop, source)
    inside = (cropped > -0.5).all(-1) & (cropped < torch.tensor([width, height]) - 0.5).all(-1)
    valid = torch.ones(count, height, width, dtype=torch.bool)
    valid[::3, :, width - 4 :] = False
    sizes = torch.rand(3, count, generator=draw) * 40 + 10
    sizes[0, 1::4], sizes[1, 2::4] = 0.0, 0.0
    mask = torch.randint(-1, 2, (count, height, width), generator=draw, dtype=torch.int8)
    mask[3::5] = -1
    image = torch.randint(0, 256, (count, height, width, 3), generator=draw, dtype=torch.uint8)
    return Batch(
        image=image.permute(0, 3, 1, 2),
        keypoints=cropped.masked_fill(~(inside & (visibility > 0))[..., None], 0),
        visibility=visibility * inside,
        mask=mask,
        valid=valid,
        crop=crop,
        source_keypoints=source.masked_fill((visibility == 0)[..., None], 0),
        source_visibility=visibility,
        box=torch.cat((source.amin(dim=1), source.amax(dim=1)), dim=1),
        head_size=sizes[0],
        torso_size=sizes[1],
        area=sizes[2].square(),
        labels={
            "sport": torch.arange(count) % 3 - 1,
            "age": (sizes[0] / 2).where(sizes[0] > 0, torch.nan),
        },
        image_size=torch.tensor([[120, 110]]).repeat(count, 1),
        person_id=torch.arange(count) + 100,
        image_id=[f"{person}.png" for person in range(count)],
    )


def take(batch: Batch, index: Tensor | list[int]) -> Batch:
    """The people at some indices."""
    index = torch.as_tensor(index)
    chosen = {
        field.name: getattr(batch, field.name)[index]
        for field in fields(batch)
        if isinstance(getattr(batch, field.name), Tensor)
    }
    names = [batch.image_id[place] for place in index.tolist()]
    labels = {name: label[index] for name, label in batch.labels.items()}
    return replace(batch, **chosen, labels=labels, image_id=names)


def unlabelled(batch: Batch) -> Batch:
    """The same people without a joint, a mask, a size or a label."""
    return replace(
        batch,
        labels={"sport": batch.labels["sport"] * 0 - 1, "age": batch.labels["age"] * torch.nan},
        visibility=batch.visibility * 0,
        source_visibility=batch.source_visibility * 0,
        mask=torch.full_like(batch.mask, -1),
        head_size=batch.head_size * 0,
        torso_size=batch.torso_size * 0,
        box=batch.box * 0,
    )


def predict(batch: Batch, error: float = 6.0, seed: int = 1) -> Prediction:
    """Keypoints that are off by some source pixels, a mask and labels, drawn person by person."""
    found = []
    for person, matrix, truth in zip(
        batch.person_id.tolist(), batch.crop, batch.source_keypoints, strict=True
    ):
        draw = torch.Generator().manual_seed(1000 * seed + person)
        points = truth + torch.randn(truth.shape, generator=draw) * error
        scores = torch.rand(len(truth), generator=draw)
        mask = torch.rand(batch.mask.shape[1:], generator=draw)
        probabilities = torch.rand(2, generator=draw).softmax(dim=0)
        value = 10 * torch.rand((), generator=draw)
        found.append(
            (apply_affine(matrix[None], points[None])[0], scores, mask, probabilities, value)
        )
    keypoints, scores, masks, probabilities, values = map(torch.stack, zip(*found, strict=True))
    return Prediction(keypoints, scores, masks, probabilities=probabilities, value=values)


def two_processes(metrics: list[Metric]) -> None:
    """Let each of two metrics gather the states of both, as in two processes."""
    for metric in metrics:
        # torchmetrics gathers the states one by one, always in this order.
        states = [[getattr(each, name) for each in metrics] for name in metric.metric_state]
        gathered = itertools.cycle(states)
        metric.distributed_available_fn = lambda: True
        metric.dist_sync_fn = lambda value, group, gathered=gathered: next(gathered)
