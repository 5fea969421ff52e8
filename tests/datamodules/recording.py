"""Data modules over fake data, and training runs that record what they see."""

from pathlib import Path
from typing import Any

import albumentations as A
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lightning_pose.batch import Batch
from lightning_pose.datamodules import LSPExtendedDataModule, PoseDataModule
from lightning_pose.input_spec import InputSpec


def module(root: Path, **settings: Any) -> LSPExtendedDataModule:
    defaults = {
        "train": (1, 14),
        "val": (15, 20),
        "test": (21, 22),
        "batch_size": 4,
        "num_workers": 0,
        "input_spec": InputSpec((32, 24)),
        "photometric": [A.RandomBrightnessContrast(p=1.0)],
    }
    return LSPExtendedDataModule(root, **{**defaults, **settings})


class Recorder(pl.LightningModule):
    """Trains nothing, and records who was in each batch and how they were cropped."""

    def __init__(self, ask_for_steps: bool = False, stop_at: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.ask_for_steps = ask_for_steps
        self.seen: list[tuple[list[int], float]] = []
        self.stop_at = stop_at

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        if len(self.seen) == self.stop_at:
            raise KeyError("Something breaks in the middle of a batch.")
        self.seen.append((batch.person_id.tolist(), float(batch.crop.sum())))
        return self.weight * 0.0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val/main", float(self.global_step), batch_size=len(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.ask_for_steps:
            # Lightning then creates the loaders before it has loaded the state of its loops.
            assert self.trainer.estimated_stepping_batches
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(Callback):
    """Saves a checkpoint once, in one hook, after a number of batches."""

    def __init__(self, hook: str, batches: int, path: Path) -> None:
        self.done = False

        def save(trainer: pl.Trainer, module: Recorder, *args: Any, **kwargs: Any) -> None:
            if len(module.seen) >= batches and not self.done and not trainer.sanity_checking:
                self.done = True
                trainer.save_checkpoint(path)

        setattr(self, hook, save)


QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def fit(
    data: PoseDataModule,
    callbacks: list[Callback] | None = None,
    ckpt_path: Path | None = None,
    ask_for_steps: bool = False,
    stop_at: int | None = None,
    **settings: Any,
) -> list[tuple[list[int], float]]:
    trainer = pl.Trainer(callbacks=callbacks, **{"max_epochs": 4, **QUIET, **settings})
    recorder = Recorder(ask_for_steps, stop_at)
    trainer.fit(recorder, data, ckpt_path=ckpt_path, weights_only=True)
    return recorder.seen
