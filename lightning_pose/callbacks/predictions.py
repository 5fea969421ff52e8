"""predictions.npz: the model's predictions for each person in the best validation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from lightning_pose.atomic import replacing
from lightning_pose.batch import Batch
from lightning_pose.metrics import Judgement

__all__ = ["SavePredictions"]


class SavePredictions(Callback):
    """Writes predictions.npz for the best validation of `fit`, and at the end of `validate`.

    In `fit` it is a listener of `BestCheckpoint`. The file has one row per person, sorted by
    `person_id`, and is enough to compute other metrics later:

    * `person_id` (N,), in a mix 2**40 times the place of the set plus the number there, `image_id`
      (N,), the name of the image, `image_size` (N, 2) height and width of the source image,
      `crop` (N, 2, 3) the affine matrix from source pixels to input pixels, `box` (N, 4) and
      `head_size`, `torso_size` (N,) in source pixels, and `area` (N,) in square source pixels, 0
      where unknown;
    * the truth: `keypoints` (N, K, 2) in source pixels, `visibility` (N, K) before the crop, and
      `label/NAME` (N,) for each image-level label;
    * for each head, the fields that it fills: `HEAD/keypoints` (N, K, 2) in source pixels,
      `HEAD/scores` (N, K), `HEAD/errors` (N, K), the distance from the truth in source pixels, NaN
      where a joint is not labelled, `HEAD/probabilities` (N, C) and `HEAD/value` (N,);
    * `HEAD/METRIC` (N,), the value of each metric for each person, NaN where nothing is labelled;
      for a head without a metric, `HEAD/loss` (N,).

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[dict[str, np.ndarray]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Discard the rows of the previous validation."""
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
        """Collect the rows of one batch."""
        self._rows.append(_columns(outputs, batch))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file if the validation is not part of `fit`."""
        fast_dev_run = getattr(trainer, "fast_dev_run", False)  # An attribute without annotation.
        if trainer.state.fn == "validate" and not fast_dev_run:
            self._write(trainer)

    def keep_best(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file for a new best validation."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        rows = self._rows
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, rows)
            rows = [row for part in gathered for row in part]
        if not trainer.is_global_zero:
            return
        table: dict[str, Any] = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        order = np.argsort(table["person_id"], kind="stable")
        with replacing(self.path) as file:
            np.savez_compressed(file, **{key: column[order] for key, column in table.items()})


def _columns(found: Judgement, batch: Batch) -> dict[str, np.ndarray]:
    columns = {
        "person_id": batch.person_id,
        "image_size": batch.image_size,
        "crop": batch.crop,
        "box": batch.box,
        "head_size": batch.head_size,
        "torso_size": batch.torso_size,
        "area": batch.area,
        "keypoints": batch.source_keypoints,
        "visibility": batch.source_visibility,
    }
    columns |= {f"label/{name}": label for name, label in batch.labels.items()}
    for head, judged in found["judged"].items():
        filled = {
            "keypoints": judged.keypoints,
            "scores": judged.prediction.scores,
            "errors": judged.errors,
            "probabilities": judged.prediction.probabilities,
            "value": judged.prediction.value,
        }
        columns |= {f"{head}/{name}": v for name, v in filled.items() if v is not None}
        columns |= {f"{head}/{name}": value for name, value in found["values"][head].items()}
    arrays = {name: _array(column) for name, column in columns.items()}
    return arrays | {"image_id": np.array(batch.image_id)}


def _array(value: Tensor) -> np.ndarray:
    """Convert to NumPy: floating point to float32, whatever the precision; integers unchanged."""
    array: np.ndarray = (value.float() if value.is_floating_point() else value).cpu().numpy()
    return array
