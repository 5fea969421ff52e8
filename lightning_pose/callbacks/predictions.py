"""Keep the predictions of the best validation, person by person, for paired statistics."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lightning_pose.batch import Batch, Prediction
from lightning_pose.callbacks.best import BestValidation
from lightning_pose.geometry import apply_affine, crop_scale, invert_affine
from lightning_pose.metrics import dice_per_person, joint_errors

__all__ = ["SavePredictions"]


class SavePredictions(Callback):
    """Writes predictions.npz after every validation that is the best so far.

    The file holds `person_id` (N,) in ascending order, `crop_scale` (N,) input pixels per source
    pixel, and for each head HEAD:

    * `HEAD/keypoints` (N, K, 2) in source pixels, `HEAD/scores` (N, K) and `HEAD/errors` (N, K),
      the distance to the truth in source pixels, NaN where a joint is not labelled; or
    * `HEAD/dice` (N,), NaN where a person has no mask.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = BestValidation()
        self._rows: list[dict[str, np.ndarray]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the rows of the validation before."""
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
        """Take the rows of one batch."""
        if trainer.sanity_checking:
            return
        row = {"person_id": batch.person_id, "crop_scale": crop_scale(batch.crop)}
        for name, prediction in outputs["predictions"].items():
            fields = _fields(prediction, batch)
            row.update({f"{name}/{field}": value for field, value in fields.items()})
        self._rows.append({key: value.float().cpu().numpy() for key, value in row.items()})
        self._rows[-1]["person_id"] = batch.person_id.cpu().numpy()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file if this validation is the best so far."""
        if not self.best.is_new(trainer):
            return
        rows = self._rows
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, rows)
            rows = [row for part in gathered for row in part]
        if not trainer.is_global_zero:
            return
        table: dict[str, Any] = {key: np.concatenate([r[key] for r in rows]) for key in rows[0]}
        order = np.argsort(table["person_id"], kind="stable")
        # Written aside and renamed, so that a run killed right here keeps the file it had.
        aside = self.path.with_suffix(".part.npz")
        np.savez_compressed(aside, **{key: value[order] for key, value in table.items()})
        aside.replace(self.path)


def _fields(prediction: Prediction, batch: Batch) -> dict[str, torch.Tensor]:
    if prediction.mask is not None:
        return {"dice": dice_per_person(prediction.mask, batch.mask.where(batch.valid, -1))}
    assert prediction.keypoints is not None, "a head predicts keypoints or a mask"
    assert prediction.scores is not None, "every keypoint has a score"
    keypoints = apply_affine(invert_affine(batch.crop), prediction.keypoints.float())
    errors = joint_errors(keypoints, batch.source_keypoints, batch.source_labelled)
    return {"keypoints": keypoints, "scores": prediction.scores, "errors": errors}
