"""An image of what each step of a recurrent head looked at, after every validation."""

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
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import Skeleton
from lightning_pose.visualization import Tile, contact_sheet

__all__ = ["AttentionSheet"]

_COLUMNS, _HEIGHT = 6, 192


class AttentionSheet(Callback):
    """Draws the attention of every head that has some, over the first people of every validation.

    There is one sheet per head. A person's first panel shows the prediction; the others show the
    weights of one step each, with the joint that was predicted in that step.

    Args:
        folder: The folder for the PNGs, named by epoch, optimiser step and head.
        people: Number of people per sheet, 1 or more.

    Raises:
        ConfigError: `people` is less than 1.
    """

    def __init__(self, folder: Path, people: int = 3) -> None:
        if people < 1:
            raise ConfigError(
                f"Expected 1 or more people on a sheet of attention, found {people}; raise it."
            )
        self.folder = folder
        self.people = people
        self._tiles: dict[str, list[list[Tile]]] = {}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start empty sheets."""
        self._tiles = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect people until the sheets are full."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        heads: Any = pl_module.heads
        skeleton = _skeleton(pl_module)
        for name, judged in outputs["judged"].items():
            if judged.prediction.attention is None:
                continue
            people = self._tiles.setdefault(name, [])
            for person in range(min(self.people - len(people), len(batch))):
                tiles = _tiles(judged.prediction, batch, person, heads[name].steps, skeleton)
                tiles[0].caption = name
                people.append(tiles)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the sheets and send them to the loggers."""
        for name, people in self._tiles.items():
            rows = [
                tiles[start : start + _COLUMNS]
                for tiles in people
                for start in range(0, len(tiles), _COLUMNS)
            ]
            sheet = contact_sheet(rows, _skeleton(pl_module), _HEIGHT)
            save_picture(trainer, self.folder, f"val/attention/{name}", sheet, f"_attention_{name}")


def _skeleton(pl_module: pl.LightningModule) -> Skeleton:
    skeleton = pl_module.skeleton
    assert isinstance(skeleton, Skeleton), "a PoseModule has a skeleton"
    return skeleton


def _tiles(
    prediction: Prediction,
    batch: Batch,
    person: int,
    steps: tuple[str, ...],
    skeleton: Skeleton,
) -> list[Tile]:
    """The prediction for one person, and the attention of each step, without the padding."""
    assert prediction.attention is not None, "the caller has checked"
    assert prediction.keypoints is not None, "attention belongs to the joints of its steps"
    height, width = batch.input_size[person].tolist()

    def cut(pixels: Tensor) -> np.ndarray:
        part: np.ndarray = pixels[..., :height, :width].cpu().numpy()
        return part

    image = cut(batch.image[person]).transpose(1, 2, 0)
    keypoints = prediction.keypoints[person].float().cpu().numpy()
    cells, size = prediction.attention[[person]].float(), batch.image.shape[2:]
    maps = cut(F.interpolate(cells, size, mode="bilinear", align_corners=False)[0])
    tiles = [Tile(image, "", keypoints=keypoints)]
    for number, (name, attention) in enumerate(zip(steps, maps, strict=True), start=1):
        drawn = np.array([joint == name for joint in skeleton.names])
        tile = Tile(image, f"{number} {name}", keypoints, drawn, heatmap=attention)
        tiles.append(tile)
    return tiles
