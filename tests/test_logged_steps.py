"""What loggers write in a step does not depend on how often they write."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import collate
from lightning_pose.callbacks import LearningRate, MetricsFile, StepRandomState
from lightning_pose.heads import HeatmapHead, MaskHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_sample
from tests.commands.project import rows

HEADS = ("heatmap", "mask")
NAMES = {
    "train/loss",
    "lr",
    *(f"{kind}/{head}" for kind in ("train/loss", "weight") for head in HEADS),
}


def written(folder, every, accumulated):
    """The rows of metrics.csv by step."""
    torch.manual_seed(0)
    heads = {"heatmap": HeatmapHead(), "mask": MaskHead()}
    model = PoseModule(UNet(width=2), heads, LSP14, InputSpec((32, 32)))
    folder.mkdir()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_val_batches=0,
        accumulate_grad_batches=accumulated,
        log_every_n_steps=every,
        logger=MetricsFile(folder),
        callbacks=[StepRandomState(0), LearningRate()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    people = [make_sample(number, (32, 32)) for number in range(7)]
    loader = DataLoader(people, batch_size=1, collate_fn=collate)
    trainer.fit(model, loader, loader)
    return {row["step"]: row for row in rows(folder / "metrics.csv")}


@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_row_has_everything_however_often_rows_are_written(accumulated, tmp_path):
    always, sometimes = (written(tmp_path / str(n), n, accumulated) for n in (1, 2))
    assert len(always) == (14 if accumulated == 1 else 6)
    assert list(sometimes) == list(always)[1::2]
    for step, row in sometimes.items():
        assert row == always[step]
        assert set(row) >= NAMES
        assert all(row[name] for name in NAMES)
