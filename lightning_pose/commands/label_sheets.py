"""The contact sheets of `lightning prepare`: labels drawn over the crops that training sees."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from lightning_pose.atomic import replacing
from lightning_pose.datasets import COCODataset
from lightning_pose.input_spec import InputSpec
from lightning_pose.transforms import PersonCrop
from lightning_pose.visualization import Tile, contact_sheet

__all__ = ["write_sheets"]

_PEOPLE = 30
_PER_ROW = 6
_SIDE = 256


def write_sheets(people: Path, images: Path, scores: Float64[np.ndarray, " N"]) -> None:
    """Write sheet.jpg and doubtful.jpg next to a file of labels.

    They are read through the dataset that training uses, so that what cannot be read or is drawn in
    the wrong place shows here.

    Args:
        people: The file in COCO's format, of one person or more.
        images: The folder of its images.
        scores: The score of each person, in the order of the file.

    Raises:
        DataError: The file or an image cannot be read.
    """
    dataset = COCODataset(people, images, min_joints=0)
    evenly = np.unique(np.linspace(0, len(scores) - 1, _PEOPLE).round().astype(np.int64))
    doubtful = np.argsort(scores, kind="stable")[:_PEOPLE]
    for name, chosen in (("sheet.jpg", evenly), ("doubtful.jpg", doubtful)):
        tiles = [_tile(dataset, index, float(scores[index])) for index in chosen.tolist()]
        rows = [tiles[start : start + _PER_ROW] for start in range(0, len(tiles), _PER_ROW)]
        _save(rows, dataset, people.with_name(name))


def _tile(dataset: COCODataset, index: int, score: float) -> Tile:
    crop = PersonCrop(InputSpec(size=(_SIDE, _SIDE)))(dataset, index, np.random.default_rng(0))
    return Tile(
        crop.image,
        f"{score:.3f} {crop.annotation.image_id}",
        keypoints=crop.keypoints,
        drawn=crop.visibility > 0,
        mask=crop.mask == 1,
    )


def _save(rows: Sequence[Sequence[Tile]], dataset: COCODataset, path: Path) -> None:
    sheet = Image.fromarray(contact_sheet(rows, dataset.skeleton, _SIDE))
    with replacing(path) as file:
        sheet.save(file, format="JPEG", quality=90)
