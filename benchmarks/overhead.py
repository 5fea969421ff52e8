"""What `lightning fit` costs beyond the training itself, on the CPU.

    python benchmarks/overhead.py [--root FOLDER_OF_LSPE [--cache FOLDER]] [--blocks 40]
        [--steps 20] [--epochs 3] [--repeats 5] [--batches 60] [OPTIONS OF FIT]

Trains the parts of combined.yaml on ResNet-18 with transposed convolutions (backbone/deconv.yaml),
with the loggers and callbacks that `fit` has by default, and prints, each with the bar that it is
held to:

- steps: seconds per step of `fit`, divided by those of a bare PyTorch loop on the same batches.
  Each trains a copy of the same model, in one process and in turn, step by step, so that a machine
  whose speed changes is as fast for one as for the other. The median over `--blocks` blocks of
  `--steps` steps of each, with an interval that contains it with a probability of 95 %, for which 6
  blocks are enough; and the ratio of the times of all blocks together, which also contains what
  `fit` does less often than once in a block;
- validation: the time of a validation with its metrics, pictures and checkpoints, without that of
  the network and its losses on the same people in a bare loop, divided by the time of the training
  steps of an epoch; the median over `--epochs`;
- data: seconds per step of `fit` with its data, divided by the slower of two: seconds per batch of
  the data alone, and per step of the bare loop alone; the median of the ratios of `--repeats`
  repeats of `--batches` each, which need not be the ratio of the medians in the last line.

With --root, the data is Leeds Sports Pose Extended, and with --cache, its images are kept in a
folder as `--data.cache` does.
"""

import argparse
import copy
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import scipy.stats
import torch
from training import (
    WARM_UP,
    BareLoop,
    CachedBatches,
    WatchedFit,
    data_words,
    first_batches,
    fit_seconds,
    parts,
)

from lightning_pose.commands.configs import find_config
from lightning_pose.precision import AutoPrecision

STEPS_BAR, VALIDATION_BAR, DATA_BAR = 1.03, 0.03, 1.05


class Alternation(pl.Callback):
    """Alternates single steps of a bare loop with those of `fit`, and times both.

    A step of `fit` lasts from the start of its batch to that of the next one, so that whatever is
    done between two steps counts.

    Args:
        batches: The batches of both.

    Attributes:
        seconds: The time of each step of `fit` and that of the bare step after it.
    """

    def __init__(self, batches: CachedBatches) -> None:
        self.batches = batches
        self.seconds: list[tuple[float, float]] = []
        self._start: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Copy the model for the bare loop, before its first step."""
        self.bare = BareLoop(copy.deepcopy(pl_module))
        self.left = iter(self.batches)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record the step of `fit` that has just ended, then run one step of the bare loop."""
        now = time.perf_counter()
        fitted = None if self._start is None else now - self._start
        self.bare.step(next(self.left))
        self._start = time.perf_counter()
        if fitted is not None:
            self.seconds.append((fitted, self._start - now))


def by_blocks(seconds: list[tuple[float, float]], steps: int) -> list[tuple[float, float]]:
    """The times of each full block of so many steps, without the first one, which warms up."""
    return [
        (sum(fit for fit, _ in block), sum(bare for _, bare in block))
        for start in range(steps, len(seconds) - steps + 1, steps)
        for block in (seconds[start : start + steps],)
    ]


class EpochClock(pl.Callback):
    """Times the steps and the validation of each epoch.

    Attributes:
        seconds: The time of the steps of each epoch, and from the last one to the end of the
            validation.
    """

    def __init__(self) -> None:
        self.seconds: list[tuple[float, float]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.trained = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            now = time.perf_counter()
            self.seconds.append((self.trained - self.start, now - self.trained))


class Interval(NamedTuple):
    """A median, and the ends of an interval that contains that of all values."""

    median: float
    low: float
    high: float


def median_interval(values: list[float], level: float = 0.95) -> Interval:
    """The median with an interval from the ranks of the values, whatever their distribution."""
    found = scipy.stats.quantile_test(values, p=0.5).confidence_interval(level)
    return Interval(statistics.median(values), float(found.low), float(found.high))


def block_seconds(
    words: list[str], folder: Path, blocks: int, steps: int
) -> list[tuple[float, float]]:
    """Seconds of each block of `fit` and of the bare loop."""
    # One more block warms up, and the step after the last block ends it.
    batches = CachedBatches(first_batches(words, 4), (blocks + 1) * steps + 1)
    watch = Alternation(batches)
    WatchedFit([*words, "--trainer.max_epochs=1"], folder, watch, batches)
    return by_blocks(watch.seconds, steps)


def validation_seconds(
    words: list[str], folder: Path, epochs: int
) -> tuple[list[tuple[float, float]], float]:
    """Seconds of the steps and of the validation of each epoch, and of a bare validation."""
    watch = EpochClock()
    WatchedFit([*words, f"--trainer.max_epochs={epochs}"], folder, watch)
    return watch.seconds, bare_validation(words)


@torch.no_grad()
def bare_validation(words: list[str]) -> float:
    """Seconds of the network and its losses on the validation people, batch by batch."""
    model, data = parts(words)
    data.setup("fit")
    network = model.network.eval()
    precision = AutoPrecision()
    precision.connect(model, [], [])
    seconds = 0.0
    for index, batch in enumerate(data.val_dataloader()):
        with precision.forward_context():
            if index == 0:
                network.losses(network(batch.image), batch)  # Warms up.
            start = time.perf_counter()
            network.losses(network(batch.image), batch)
            seconds += time.perf_counter() - start
    return seconds


def data_seconds(words: list[str], length: int) -> float:
    """Seconds per training batch of the data alone, after the warm-up."""
    _, data = parts(words)
    data.setup("fit")
    for index, _batch in enumerate(islice(data.train_dataloader(), length)):
        if index == WARM_UP:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (length - WARM_UP - 1)


def data_ratios(words: list[str], folder: Path, length: int, repeats: int) -> list[list[float]]:
    """Seconds per step of the data alone, of the bare loop alone, and of `fit` with its data."""
    cached = CachedBatches(first_batches(words, 4), length)
    return [
        [
            data_seconds(words, length),
            BareLoop(parts(words)[0]).seconds(cached),
            fit_seconds(words, folder, length),
        ]
        for _ in range(repeats)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of Leeds Sports Pose Extended")
    parser.add_argument("--cache", type=Path, help="folder for the cached images")
    parser.add_argument("--blocks", type=int, default=40, help="blocks that are compared")
    parser.add_argument("--steps", type=int, default=20, help="steps of a block, of each")
    parser.add_argument("--epochs", type=int, default=3, help="epochs with a validation")
    parser.add_argument("--repeats", type=int, default=5, help="trainings with data")
    parser.add_argument("--batches", type=int, default=60, help="batches of each of them")
    options, others = parser.parse_known_args()
    words = ["--config", str(find_config("combined.yaml"))]
    words += ["--config", str(find_config("backbone/deconv.yaml"))]
    words += [*data_words(options.root, options.cache), *others]
    print(f"{'':40} {'median':>8} {'95 %':>18} {'at most':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = block_seconds(words, folder, options.blocks, options.steps)
        found = median_interval([fit / bare for fit, bare in pairs])
        between = f"{found.low:.3f} to {found.high:.3f}"
        line = f"{found.median:8.3f} {between:>18} {STEPS_BAR:8.2f}"
        print(f"{'steps of fit / of a bare loop':40} {line}")
        fit, bare = (sum(column) for column in zip(*pairs, strict=True))
        print(f"{'all blocks of fit / all bare blocks':40} {fit / bare:8.3f}", flush=True)
        epochs, bare = validation_seconds(words, folder, options.epochs)
        share = statistics.median((validation - bare) / steps for steps, validation in epochs)
        print(
            f"{'validation, over a bare one / steps':40} {share:8.3f} {'':18} {VALIDATION_BAR:8.2f}"
        )
        steps, validation = (statistics.median(column) for column in zip(*epochs, strict=True))
        print(
            f"seconds: steps {steps:.1f}, validation {validation:.1f}, bare validation {bare:.1f}"
        )
        seconds = data_ratios(words, folder, options.batches, options.repeats)
    ratio = statistics.median(fit / max(data, bare) for data, bare, fit in seconds)
    print(f"{'fit with data / slower of both alone':40} {ratio:8.3f} {'':18} {DATA_BAR:8.2f}")
    data, bare, fit = (1e3 * statistics.median(column) for column in zip(*seconds, strict=True))
    alone = f"data alone {data:.0f}, bare loop alone {bare:.0f}"
    print(f"ms per step: {alone}, fit with data {fit:.0f}")


if __name__ == "__main__":
    main()
