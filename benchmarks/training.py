"""How fast `fit` is on the CPU compared with a bare loop, for the parts of combined.yaml.

    python benchmarks/training.py [--root FOLDER_OF_LSPE [--cache FOLDER]] [--batches 60]
        [--repeats 5]

Prints images per second for a bare PyTorch loop on cached batches, for `lightning fit` with its
default loggers and callbacks on the same cached batches, and for `lightning fit` with its data: the
median over several repeats, run in turn, and the median of the ratios to the bare loop of the same
repeat, which is not the ratio of the medians where the speed of the machine changes. `overhead.py`
measures the difference more exactly. With --root, the data is Leeds Sports Pose Extended; with
--cache, its images are kept in a folder as `--data.cache` does, which is written before the first
repeat.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_pose.batch import Batch
from lightning_pose.commands.configs import find_config
from lightning_pose.commands.fit import FitCLI
from lightning_pose.commands.memory import keep_freed_memory
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.module import PoseModule
from lightning_pose.precision import AutoPrecision

WARM_UP = 5
"""Batches at the start of a training that are not timed."""


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

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if batch_idx == WARM_UP:
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


class WatchedFit(FitCLI):
    """`lightning fit` with its own loggers and callbacks, and one callback more, which is the last.

    What it prints goes to the error output, so that the output of a benchmark is its result alone.

    Args:
        words: The arguments of `fit`.
        folder: Where the run's folder is made.
        callback: The callback that measures.
        batches: What to train on; by default the data of the config.
    """

    def __init__(
        self,
        words: list[str],
        folder: Path,
        callback: pl.Callback,
        batches: CachedBatches | None = None,
    ) -> None:
        self.callback = callback
        self.batches = batches
        # On the CPU, as the bare loop.
        own = [f"--trainer.default_root_dir={folder}", "--trainer.accelerator=cpu"]
        with contextlib.redirect_stdout(sys.stderr):
            super().__init__(["fit", *words, *own], "benchmark")

    def fit(self, model: PoseModule, **kwargs: Any) -> None:
        self.trainer.callbacks.append(self.callback)
        if self.batches is None:
            self.trainer.fit(model, **kwargs)
        else:
            self.trainer.fit(model, self.batches)


class BareLoop:
    """Trains a model as `fit` does, but without Lightning, on the CPU.

    Args:
        model: The model, which is trained in place.
        clip: The largest norm of the gradients; None if they are not clipped.
        keep_memory: Whether freed memory stays in the process, as `fit` keeps it.
    """

    def __init__(
        self, model: PoseModule, clip: float | None = 5.0, keep_memory: bool = True
    ) -> None:
        if keep_memory:
            keep_freed_memory(torch.device("cpu"))
        self.model = model.train()
        self.clip = clip
        made = model.configure_optimizers()
        self.optimizer = made["optimizer"] if isinstance(made, dict) else made
        schedule = made["lr_scheduler"] if isinstance(made, dict) else {"interval": "epoch"}
        self.scheduler = schedule["scheduler"] if schedule["interval"] == "step" else None
        self.precision = AutoPrecision()
        self.precision.connect(model, [self.optimizer], [])

    def step(self, batch: Batch) -> None:
        """Make one optimiser step."""
        model = self.model
        self.optimizer.zero_grad()
        with self.precision.forward_context():
            losses = model.network.losses(model(batch.image), batch)
            loss = model.weighting({name: terms.mean() for name, terms in losses.items()})
        loss.backward()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), self.clip)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def seconds(self, batches: CachedBatches) -> float:
        """Train, and return the seconds per step after a few warm-up batches."""
        for index, batch in enumerate(batches):
            if index == WARM_UP:
                start = time.perf_counter()
            self.step(batch)
        return (time.perf_counter() - start) / (len(batches) - WARM_UP)


def parts(words: list[str]) -> tuple[PoseModule, PoseDataModule]:
    """The model and the data module of a command line of `fit`."""
    cli = Parts(["fit", *words], "benchmark")
    return cli.model, cli.datamodule


def first_batches(words: list[str], count: int) -> list[Batch]:
    """The first training batches of a command line of `fit`."""
    _, data = parts(words)
    data.setup("fit")
    loader = iter(data.train_dataloader())
    return [next(loader) for _ in range(count)]


def fit_seconds(
    words: list[str], folder: Path, length: int, batches: CachedBatches | None = None
) -> float:
    """Seconds per step of an epoch of `lightning fit` without validation, after the warm-up."""
    short = [f"--trainer.limit_train_batches={length}", "--trainer.limit_val_batches=0"]
    watch = Stopwatch()
    WatchedFit([*words, *short, "--trainer.max_epochs=1"], folder, watch, batches)
    return (watch.stop - watch.start) / (length - WARM_UP)


def data_words(root: Path | None, cache: Path | None) -> list[str]:
    """The options of `fit` for photographs, which are cached if a folder is given for that."""
    words = []
    if root is not None:
        words += ["--config", str(find_config("data/lspet.yaml")), "--data.root", str(root)]
    if cache is not None:
        words += ["--data.cache", str(cache)]
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of Leeds Sports Pose Extended")
    parser.add_argument("--cache", type=Path, help="folder for the cached images")
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    words = ["--config", str(find_config("combined.yaml"))]
    words += data_words(options.root, options.cache)
    cached = CachedBatches(first_batches(words, 4), options.batches)
    size = len(cached.batches[0])

    ways: dict[str, Callable[[], float]] = {
        "bare loop, cached batches": lambda: BareLoop(parts(words)[0]).seconds(cached),
        "fit, cached batches": lambda: fit_seconds(words, folder, options.batches, cached),
        "fit, with its data": lambda: fit_seconds(words, folder, options.batches),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(options.repeats):
            for way, measure in ways.items():
                rates[way].append(size / measure())
    reference = rates["bare loop, cached batches"]
    print(f"{'':28} {'images/s':>10} {'of bare loop':>12}")
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, reference, strict=True))
        print(f"{name:28} {statistics.median(values):10.1f} {ratio:12.2f}")


if __name__ == "__main__":
    main()
