"""A short training run in one or two processes, for the drill that compares them.

    python -m tests.processes FOLDER PROCESSES PRECISION ACCUMULATED

Every process writes its final state to FOLDER/rank_N.pt. Masks are known only in the first process,
and different joints are unlabelled in each, so that a mean of means would show.
"""

import sys
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import collate
from lightning_pose.heads import HeatmapHead, MaskHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_sample
from tests.toy_parts import GramianWeighting


class Shares(pl.LightningDataModule):
    """Each process's share of the same people."""

    def train_dataloader(self):
        samples = [make_sample(n) for n in range(8)]
        for number, sample in enumerate(samples):
            if number % 2:
                sample.mask[:] = -1
                sample.visibility = sample.visibility.copy()
                sample.visibility[3:] = 0
        rank, processes = self.trainer.global_rank, self.trainer.world_size
        share = samples[rank::processes]
        return DataLoader(share, batch_size=4 // processes, collate_fn=collate)

    val_dataloader = train_dataloader


class Recorder(pl.Callback):
    """Keeps the weights of every step and the losses that are logged."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.seen.append(pl_module.weighting.present.clone())
        self.losses = {k: v for k, v in trainer.callback_metrics.items() if "loss" in k}


def main() -> None:
    folder, processes, precision, accumulated = sys.argv[1:]
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": HeatmapHead(), "joints": SoftmaxJointHead()}
    # Without batch norm, whose statistics are per process.
    backbone = UNet(width=4, dropout=0.0, batch_norm=False)
    model = PoseModule(
        backbone,
        heads,
        LSP14,
        InputSpec((64, 64)),
        weighting=GramianWeighting(),
        optimizer=partial(torch.optim.SGD, lr=0.02),
    )
    recorder = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=int(processes),
        strategy="ddp" if processes != "1" else "auto",
        precision=precision,
        accumulate_grad_batches=int(accumulated),
        max_epochs=2,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[recorder],
    )
    trainer.fit(model, datamodule=Shares())
    torch.save(
        {
            "state": model.network.state_dict(),
            "weights": torch.stack(recorder.seen),
            "losses": recorder.losses,
            "figures": dict(trainer.callback_metrics),
        },
        Path(folder) / f"rank_{trainer.global_rank}.pt",
    )


if __name__ == "__main__":
    main()
