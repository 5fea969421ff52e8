"""What Weights & Biases shows of a run besides the numbers that Lightning's logger sends it."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.metrics import Judgement, Scores

__all__ = ["WandbRun"]

_STEP = "trainer/global_step"
"""The metric that WandbLogger draws all others against."""

_PEOPLE = 8
"""Number of people whose masks are shown, as on a contact sheet."""

_CLASSES = {0: "background", 1: "person", 2: "unknown"}


class WandbRun(Callback):
    """Fills a run of Weights & Biases with the data for its tables, charts and image panels.

    * The summary of each validation metric and loss is its best value, such as
      `val/mask/Dice.max` and `val/loss.min`, and not its last one.
    * `val/masks`: after every validation, the first people with the true mask and that of each
      head, as overlays.
    * `val/people`: for every new best.ckpt, a table of all validation people with the name of their
      image and the value of each head's metrics.
    * `per_joint/HEAD/METRIC/JOINT`: for every new best.ckpt, the first metric of each head for each
      joint.

    It is a listener of `BestCheckpoint`, after `SavePredictions`, whose file it reads. Checkpoints
    hold the run's id and its best values, so that a resumed training continues the same run.

    Args:
        logger: The logger of the run.
        predictions: The predictions.npz of the best validation.
    """

    def __init__(self, logger: WandbLogger, predictions: Path) -> None:
        self.logger = logger
        self.predictions = predictions
        self._images: list[dict[str, Any]] = []
        self._higher: dict[str, bool] = {}
        self._best: dict[str, float] = {}
        self._resumed = False

    @staticmethod
    def id_in(states: Mapping[str, Any]) -> str | None:
        """Find the run's id in the callbacks' states of a checkpoint, None if there is none."""
        state = states.get(WandbRun.__qualname__)
        found = state.get("id") if isinstance(state, dict) else None
        return found if isinstance(found, str) and re.fullmatch(r"[\w-]{1,64}", found) else None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"id": self.logger.version, "best": self._best}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = state_dict.get("best")
        # Another run starts with its own values.
        if state_dict.get("id") == self.logger.version and isinstance(best, dict):
            self._resumed = True
            self._best = {key: one for key, one in best.items() if isinstance(one, float)}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell W&B which metrics are better higher, and to draw no chart per joint of its own."""
        evaluation: Any = pl_module.evaluations
        scores, losses = evaluation["val"].scores, evaluation["val"].losses
        # In every process, because the results of all processes are combined.
        directions, joints = scores.directions(), _per_joint(scores)
        if not trainer.is_global_zero:
            return
        directions |= {f"loss/{name}": False for name in losses} | {"loss": False}
        self._higher = {f"val/{key}": higher for key, higher in directions.items()}
        for key, higher in self._higher.items():
            best = "max" if higher else "min"
            self.logger.experiment.define_metric(key, step_metric=_STEP, summary=best)
        for key in joints:
            self.logger.experiment.define_metric(key, step_metric=_STEP, hidden=True)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Discard the images of the previous validation."""
        self._images = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect images until there are enough."""
        missing = _PEOPLE - len(self._images)
        if trainer.sanity_checking or not trainer.is_global_zero or missing < 1:
            return
        for person in range(min(missing, len(batch))):
            if masks := _masks(outputs, batch, person):
                self._images.append(masks)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the images with their masks; complete the summary of a resumed run."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        self._keep_best_values(trainer)
        if self._images:
            columns = {key: [one[key] for one in self._images] for key in self._images[0]}
            self.logger.log_image("val/masks", step=_step(trainer), **columns)

    def keep_best(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the table of people and the metrics of each joint for a new best validation."""
        evaluation: Any = pl_module.evaluations
        # In every process, because the results of all processes are combined.
        joints = _per_joint(evaluation["val"].scores)
        if not trainer.is_global_zero:
            return
        step = _step(trainer)
        if values := {key: value for key, value in joints.items() if not math.isnan(value)}:
            self.logger.log_metrics(values, step)
        metrics: Any = pl_module.metrics
        columns, rows = _table(self.predictions, metrics)
        self.logger.log_table("val/people", columns, rows, step=step)

    def _keep_best_values(self, trainer: pl.Trainer) -> None:
        """Keep the best value of each metric; W&B knows only those since a run was resumed."""
        for key, higher in self._higher.items():
            value = float(trainer.callback_metrics.get(key, math.nan))
            if math.isnan(value):
                continue
            best = self._best.get(key, value)
            self._best[key] = max(best, value) if higher else min(best, value)
        if self._resumed:
            self.logger.experiment.summary.update(
                {
                    key: {"max" if self._higher[key] else "min": value}
                    for key, value in self._best.items()
                    if key in self._higher
                }
            )


def _per_joint(scores: Scores) -> dict[str, float]:
    """The first metric of each head for each joint, by its key in W&B."""
    firsts: dict[str, dict[str, float]] = {}
    for key, values in scores.per_joint().items():
        joints = {f"per_joint/{key}/{joint}": float(value) for joint, value in values.items()}
        firsts.setdefault(key.split("/")[0], joints)
    return {key: value for joints in firsts.values() for key, value in joints.items()}


def _step(trainer: pl.Trainer) -> int:
    """The number of the last step, as in metrics.csv."""
    return max(0, trainer.global_step - 1)


def _masks(found: Judgement, batch: Batch, person: int) -> dict[str, Any] | None:
    """One image for `WandbLogger.log_image`, without its padding; None without a predicted mask."""
    height, width = batch.input_size[person].tolist()

    def cut(pixels: Tensor) -> np.ndarray:
        part: np.ndarray = pixels[..., :height, :width].cpu().numpy()
        return part

    truth = cut(batch.mask[person])
    overlays = {"truth": np.where(truth < 0, 2, truth)}
    words = [batch.image_id[person]]
    for head, judged in found["judged"].items():
        if judged.prediction.mask is None:
            continue
        overlays[head] = cut(judged.prediction.mask[person] > 0.5)
        values = {metric: float(column[person]) for metric, column in found["values"][head].items()}
        words += [f"{head} {m} {value:.2f}" for m, value in values.items() if value == value]
    if len(overlays) == 1:
        return None
    return {
        "images": cut(batch.image[person]).transpose(1, 2, 0),
        "caption": ", ".join(words),
        "masks": {
            name: {"mask_data": mask.astype(np.uint8), "class_labels": _CLASSES}
            for name, mask in overlays.items()
        },
    }


def _table(path: Path, metrics: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows of `val/people`: the columns HEAD/METRIC of predictions.npz."""
    with np.load(path) as saved:
        names = [key for key in saved.files if key.partition("/")[2] in metrics]
        columns = [saved[key].tolist() for key in ("person_id", "image_id", *names)]
    rows = [
        # A table has no NaN: a value that is not there is None.
        [None if isinstance(value, float) and math.isnan(value) else value for value in row]
        for row in zip(*columns, strict=True)
    ]
    return ["person", "image", *names], rows
