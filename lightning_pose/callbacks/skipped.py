"""Who was skipped in an epoch, because their files cannot be read."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_warn

from lightning_pose.batch import Batch

__all__ = ["SkippedPeople"]

_NAMED = 5
"""The largest number of images that a warning names."""


class SkippedPeople(Callback):
    """Warns after every epoch how many people `data.unreadable: skip` has skipped, and names some.

    Their `image_size` in a batch is (0, 0).
    """

    def __init__(self) -> None:
        self._images: list[str] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Collect the people of one batch."""
        if _skips(trainer):
            places = (batch.image_size == 0).all(dim=1).nonzero().flatten().tolist()
            self._images += [batch.image_id[place] for place in places]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn of the people of this epoch, in all processes together."""
        if not _skips(trainer):
            return
        gathered: list[Any] = [self._images] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(gathered, self._images)
        images = [image for part in gathered for image in part]
        self._images = []
        if images:
            names = sorted(set(images))
            rank_zero_warn(
                "Expected to read the files of everyone, found that "
                f"{len(images)} {'person was' if len(images) == 1 else 'people were'} skipped in "
                f"epoch {trainer.current_epoch}, because these files cannot be read: "
                f"{', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}; repair or "
                "remove them."
            )


def _skips(trainer: pl.Trainer) -> bool:
    """Only then is it worth looking, because a GPU must be waited for."""
    return getattr(getattr(trainer, "datamodule", None), "unreadable", "stop") == "skip"
