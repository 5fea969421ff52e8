"""An image of predictions after every validation, in the run's folder and in the loggers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from lightning_pose.batch import Batch
from lightning_pose.callbacks.pictures import save_picture
from lightning_pose.errors import ConfigError
from lightning_pose.metrics import Judgement
from lightning_pose.skeletons import Skeleton
from lightning_pose.visualization import Tile, contact_sheet

__all__ = ["ContactSheet"]


class ContactSheet(Callback):
    """Draws the first people of every validation: the ground truth next to each head's prediction.

    A skeleton is drawn on the predicted mask, if a head predicts one. The caption of a prediction
    shows the head's first metric for this person. Heads without a drawable prediction are left out.

    Args:
        folder: The folder for the PNGs, one per validation, named by epoch and optimiser step.
        people: Number of people per sheet, 1 or more.

    Raises:
        ConfigError: `people` is less than 1.
    """

    def __init__(self, folder: Path, people: int = 8) -> None:
        if people < 1:
            raise ConfigError(
                f"Expected 1 or more people on a contact sheet, found {people}; raise it."
            )
        self.folder = folder
        self.people = people
        self._rows: list[list[Tile]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an empty sheet."""
        self._rows = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect people until the sheet is full."""
        missing = self.people - len(self._rows)
        if trainer.sanity_checking or not trainer.is_global_zero or missing < 1:
            return
        for person in range(min(missing, len(batch))):
            self._rows.append(_tiles(outputs, batch, person))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the sheet and send it to the loggers."""
        if not self._rows:
            return
        skeleton = pl_module.skeleton
        assert isinstance(skeleton, Skeleton), "a PoseModule has a skeleton"
        save_picture(trainer, self.folder, "val/predictions", contact_sheet(self._rows, skeleton))


def _tiles(found: Judgement, batch: Batch, person: int) -> list[Tile]:
    """The ground truth and each head's prediction for one person, without the padding."""
    height, width = batch.input_size[person].tolist()

    def cut(pixels: Tensor) -> np.ndarray:
        part: np.ndarray = pixels[..., :height, :width].cpu().numpy()
        return part

    image = cut(batch.image[person]).transpose(1, 2, 0)
    truth = Tile(
        image,
        "truth",
        keypoints=batch.keypoints[person].cpu().numpy(),
        drawn=batch.labelled[person].cpu().numpy(),
        mask=cut(batch.mask[person] == 1),
    )
    tiles = [truth]
    masks = [judged.prediction.mask for judged in found["judged"].values()]
    mask = next((mask for mask in masks if mask is not None), None)
    for head, judged in found["judged"].items():
        prediction = judged.prediction
        tile = Tile(image, _caption(head, found["values"][head], person))
        if prediction.heatmap is not None:
            cells, size = prediction.heatmap[[person]].float(), batch.image.shape[2:]
            whole = F.interpolate(cells, size, mode="bilinear", align_corners=False)
            tile.heatmap = cut(whole[0, 0])
        shown = prediction.mask
        if prediction.keypoints is not None:
            tile.keypoints = prediction.keypoints[person].float().cpu().numpy()
            shown = mask if shown is None else shown
        if shown is not None:
            tile.mask = cut(shown[person] > 0.5)
        if {"heatmap", "mask", "keypoints"} & set(prediction.fields()):
            tiles.append(tile)
    return tiles


def _caption(head: str, values: Mapping[str, Tensor], person: int) -> str:
    """The head's name, and the value of its first metric if this person has one."""
    if not values:
        return head
    metric, column = next(iter(values.items()))
    value = float(column[person])
    return head if math.isnan(value) else f"{head}  {metric} {value:.2f}"
