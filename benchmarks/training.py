"""How fast `fit` is on the CPU compared with a bare loop, for the parts of combined.yaml.

    python benchmarks/training.py [--root FOLDER_OF_LSPE [--cache FOLDER]] [--batches 60]
        [--repeats 5]

Prints images per second for a bare PyTorch loop on cached batches, for `Trainer.fit` on the same
cached batches, and for `Trainer.fit` with its data module: the median over several repeats, run in
turn, and the ratio to the bare loop. With --root, the data is Leeds Sports Pose Extended; with
--cache, its images are kept in a folder as `--data.cache` does, which is written before the first
repeat.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from lightning_pose.batch import Batch
from lightning_pose.callbacks import LearningRate
from lightning_pose.commands.configs import find_config
from lightning_pose.commands.fit import FitCLI
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.module import PoseModule
from lightning_pose.precision import AutoPrecision


class CachedBatches:
    """The same few batches again and again."""

    def __init__(self, batches: list[Batch], length: int) -> None:
        self.batches = batches
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        for index in range(self.length):
            yield self.batches[index % len(self.batches)]


class Stopwatch(pl.Callback):
    """Times the batches of an epoch after a few warm-up batches."""

    warm_up = 5

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if batch_idx == self.warm_up:
            self.start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.stop = time.perf_counter()


class Parts(FitCLI):
    """The model and the data module of a config, without a run."""

    def before_instantiate_classes(self) -> None:
        """Claim no folder."""

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        return pl.Trainer(logger=False, enable_checkpointing=False)

    def before_fit(self) -> None:
        """Log nothing."""

    def fit(self, **kwargs: Any) -> None:
        """Train nothing."""

    def after_fit(self) -> None:
        """Print nothing."""


def bare_loop(model: PoseModule, batches: CachedBatches) -> float:
    """Train without Lightning, and return the seconds per step after a few warm-up batches."""
    model.train()
    made = model.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    precision = AutoPrecision()
    precision.connect(model, [optimizer], [])
    for index, batch in enumerate(batches):
        if index == Stopwatch.warm_up:
            start = time.perf_counter()
        optimizer.zero_grad()
        with precision.forward_context():
            losses = model.network.losses(model(batch.image), batch)
            loss = model.weighting({name: terms.mean() for name, terms in losses.items()})
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    return (time.perf_counter() - start) / (len(batches) - Stopwatch.warm_up)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of Leeds Sports Pose Extended")
    parser.add_argument("--cache", type=Path, help="folder for the cached images")
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    words = ["--config", str(find_config("combined.yaml"))]
    if options.root is not None:
        words += ["--config", str(find_config("data/lspet.yaml"))]
        words += ["--data.root", str(options.root)]
    if options.cache is not None:
        words += ["--data.cache", str(options.cache)]

    def parts() -> tuple[PoseModule, PoseDataModule]:
        cli = Parts(["fit", *words], "benchmark")
        return cli.model, cli.datamodule

    _, data = parts()
    data.setup("fit")
    loader = iter(data.train_dataloader())
    cached = [next(loader) for _ in range(4)]
    people = len(cached[0]) * (options.batches - Stopwatch.warm_up)

    def bare() -> float:
        model, _ = parts()
        return len(cached[0]) / bare_loop(model, CachedBatches(cached, options.batches))

    def fit(with_data: bool, folder: str) -> float:
        model, data = parts()
        watch = Stopwatch()
        trainer = pl.Trainer(
            accelerator="cpu",  # Like the bare loop.
            max_epochs=1,
            limit_train_batches=options.batches,
            limit_val_batches=0,
            gradient_clip_val=5.0,
            callbacks=[watch, LearningRate()],
            plugins=[AutoPrecision()],
            # The defaults of `lightning fit`, except for what happens at validations.
            logger=[TensorBoardLogger(folder), CSVLogger(folder)],
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        if with_data:
            trainer.fit(model, datamodule=data)
        else:
            trainer.fit(model, CachedBatches(cached, options.batches))
        return people / (watch.stop - watch.start)

    ways: dict[str, Callable[[], float]] = {
        "bare loop, cached batches": bare,
        "fit, cached batches": lambda: fit(False, folder),
        "fit, with its data": lambda: fit(True, folder),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.repeats):
            for name, way in ways.items():
                rates[name].append(way())
    reference = rates["bare loop, cached batches"]
    print(f"{'':28} {'images/s':>10} {'of bare loop':>12}")
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, reference, strict=True))
        print(f"{name:28} {statistics.median(values):10.1f} {ratio:12.2f}")


if __name__ == "__main__":
    main()
