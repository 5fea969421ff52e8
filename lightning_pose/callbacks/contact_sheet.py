"""A picture of predictions after every validation, in the run's folder and in the loggers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from jaxtyping import UInt8
from PIL import Image
from pytorch_lightning.callbacks import Callback

from lightning_pose.batch import Batch, Prediction
from lightning_pose.callbacks.loggers import log_picture
from lightning_pose.errors import InputError
from lightning_pose.metrics import dice_per_person, joint_errors
from lightning_pose.skeletons import Skeleton
from lightning_pose.visualization import Tile, contact_sheet

__all__ = ["ContactSheet"]


class ContactSheet(Callback):
    """Draws the first people of every validation: the truth, and beside it each head's prediction.

    Above a prediction stands how good it is for this person: the Dice of a mask, or the median
    distance of the joints from the truth in pixels of the crop.

    Args:
        folder: Where the PNGs go, one a validation, named by epoch and optimiser step.
        people: How many people a sheet shows, 1 or more.

    Raises:
        InputError: `people` is less than 1.
    """

    def __init__(self, folder: Path, people: int = 8) -> None:
        if people < 1:
            raise InputError(
                f"Expected 1 or more people on a contact sheet, found {people}; raise it."
            )
        self.folder = folder
        self.people = people
        self._rows: list[list[Tile]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin an empty sheet."""
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
        """Keep people until the sheet is full."""
        missing = self.people - len(self._rows)
        if trainer.sanity_checking or not trainer.is_global_zero or missing < 1:
            return
        skeleton = pl_module.skeleton
        assert isinstance(skeleton, Skeleton), "a PoseModule has a skeleton"
        for person in range(min(missing, len(batch))):
            self._rows.append(_tiles(batch, outputs["predictions"], person, skeleton))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the sheet and send it to the loggers."""
        if not self._rows:
            return
        skeleton = pl_module.skeleton
        assert isinstance(skeleton, Skeleton), "a PoseModule has a skeleton"
        sheet = contact_sheet(self._rows, skeleton)
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"epoch_{trainer.current_epoch:03d}_step_{trainer.global_step:06d}.png"
        Image.fromarray(sheet).save(self.folder / name)
        log_picture(trainer.loggers, "val/predictions", sheet, trainer.global_step)


def _tiles(
    batch: Batch, predictions: dict[str, Prediction], person: int, skeleton: Skeleton
) -> list[Tile]:
    """The truth and each head's answer for one person."""
    picture: UInt8[np.ndarray, "H W 3"] = batch.image[person].permute(1, 2, 0).cpu().numpy()
    tiles = [
        Tile(
            picture,
            "truth",
            keypoints=batch.keypoints[person].cpu().numpy(),
            drawn=batch.labelled[person].cpu().numpy(),
            mask=(batch.mask[person] == 1).cpu().numpy(),
        )
    ]
    true_mask = batch.mask.where(batch.valid, -1)[[person]]
    truth = batch.keypoints[[person]], batch.labelled[[person]]
    for name, prediction in predictions.items():
        tile = Tile(picture, name)
        if prediction.mask is not None:
            tile.mask = (prediction.mask[person] > 0.5).cpu().numpy()
            dice = float(dice_per_person(prediction.mask[[person]], true_mask))
            tile.caption += "" if math.isnan(dice) else f"  {dice:.2f}"
        if prediction.keypoints is not None:
            keypoints = prediction.keypoints[[person]].float()
            tile.keypoints = keypoints[0].cpu().numpy()
            tile.drawn = np.ones(skeleton.num_joints, dtype=np.bool_)
            error = float(joint_errors(keypoints, *truth).nanmedian())
            tile.caption += "" if math.isnan(error) else f"  {error:.1f} px"
        tiles.append(tile)
    return tiles
