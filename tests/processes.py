"""A short training run in one or two processes, for the drills that compare them.

    torchrun --nproc_per_node 2 -m tests.processes FOLDER [--weightings fixed ...]
        [--precision 32-true] [--accumulated 1] [--epochs 3] [--batch_norm]

Every process writes its final states by weighting to FOLDER/rank_N.pt. Masks are known only in the
first process, and different joints are unlabelled in each, so that a mean of means would show. The
weightings are rows of `tests/weightings/test_contract.py`, for each of which there is a training.
"""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import distributed, nn
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import collate
from lightning_pose.callbacks import GradientTelemetry
from lightning_pose.heads import HeatmapHead, MaskHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_sample
from tests.weightings.test_contract import WEIGHTINGS


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


class SumOfProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, with a gradient."""

    @staticmethod
    def forward(ctx, value):
        total = value.clone()
        distributed.all_reduce(total)
        return total

    backward = forward


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the people of all processes; PyTorch has its own on GPUs alone."""

    def forward(self, input):  # noqa: A002  # The name in the base class.
        if not (self.training and distributed.is_initialized()):
            return super().forward(input)
        axes, count = (0, 2, 3), input.new_full((self.num_features,), input[:, 0].numel())
        table = torch.stack((input.sum(axes), input.square().sum(axes), count))
        table = SumOfProcesses.apply(table)
        mean = table[0] / table[2]
        variance = table[1] / table[2] - mean.square()
        with torch.no_grad():
            unbiased = variance * table[2] / (table[2] - 1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight / (variance + self.eps).sqrt()
        return torch.addcmul((self.bias - mean * scale)[:, None, None], input, scale[:, None, None])


class Recorder(pl.Callback):
    """Keeps the weights and the loss of every step, and the losses that are logged."""

    def __init__(self):
        self.seen = []
        self.curve = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.curve.append(trainer.callback_metrics["train/loss"])
        weights = pl_module.weighting.head_weights().values()
        self.seen.append(torch.stack([torch.as_tensor(weight) for weight in weights]))
        self.losses = {k: v for k, v in trainer.callback_metrics.items() if "loss" in k}


def train(weighting: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train with a weighting, and return what this process has at the end."""
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": HeatmapHead(), "joints": SoftmaxJointHead()}
    backbone = UNet(width=4, dropout=0.0, batch_norm=options.batch_norm)
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):  # Its own statistics are per process.
            layer.__class__ = SyncedBatchNorm
    model = PoseModule(
        backbone,
        heads,
        LSP14,
        InputSpec((64, 64)),
        weighting=WEIGHTINGS[weighting](),
        optimizer=partial(torch.optim.SGD, lr=0.02),
    )
    recorder, telemetry = Recorder(), GradientTelemetry(every_n_steps=1)
    processes = int(os.environ["WORLD_SIZE"])
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        precision=options.precision,
        # Those that compare the losses before and after a step refuse accumulated batches.
        accumulate_grad_batches=1 if model.weighting.judges_steps else options.accumulated,
        max_epochs=options.epochs,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=options.folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[recorder, telemetry],
    )
    trainer.fit(model, datamodule=Shares())
    return {
        "state": model.network.state_dict(),
        "weights": torch.stack(recorder.seen),
        "curve": torch.stack(recorder.curve),
        "gradients": telemetry.measured,
        "losses": recorder.losses,
        "figures": dict(trainer.callback_metrics),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weightings", nargs="+", default=["fixed"])
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--accumulated", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_norm", action="store_true")
    options = parser.parse_args()
    found = {name: train(name, options) for name in options.weightings}
    torch.save(found, options.folder / f"rank_{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main()
