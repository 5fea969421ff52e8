"""Whether the memory of a training stays the same from epoch to epoch, in all of its processes.

    python benchmarks/fit_memory.py [--people 400] [--epochs 20] [OPTIONS OF FIT]

Runs `lightning fit` with its default loggers and callbacks, two workers and a cache of images on a
table of people, and a small network. Prints, for each epoch, the largest memory of all processes
together after any of its batches, in MiB, and at the end how much it grows per epoch over the
second half of the epochs. The memory is the proportional set size (PSS) without the pages of files:
the sum of Pss_Anon and Pss_Shmem. Linux only.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import scipy.stats
from memory import total, write_table
from training import WatchedFit

from lightning_pose.commands.configs import find_config


class MemoryMeter(pl.Callback):
    """Measures the memory after every batch of training and validation.

    Attributes:
        peaks: The largest memory of each epoch in MiB.
    """

    def __init__(self) -> None:
        self.peaks: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.peaks.append(total())

    def on_train_batch_end(self, *_: Any) -> None:
        self.peaks[-1] = max(self.peaks[-1], total())

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.peaks[-1] = max(self.peaks[-1], total())


def growth(peaks: list[float]) -> float:
    """MiB per epoch over the second half: the median of the slopes between any two epochs."""
    half = peaks[len(peaks) // 2 :]
    return float(scipy.stats.theilslopes(half).slope)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=20)
    options, others = parser.parse_known_args()
    meter = MemoryMeter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = write_table(folder, "csv", options.people)
        configs = ("combined.yaml", "data/table.yaml", "backbone/unet.yaml")
        words = [f"--config={find_config(config)}" for config in configs]
        words += ["--model.backbone.width=4", "--data.input_spec.size=[64,64]"]
        words += [f"--data.table={table}", f"--data.cache={folder / 'cache'}"]
        words += [f"--trainer.max_epochs={options.epochs}", *others]
        WatchedFit(words, folder, meter)
    for epoch, peak in enumerate(meter.peaks):
        print(f"epoch {epoch:3} {peak:8.1f}")
    print(f"{growth(meter.peaks):+.2f} MiB per epoch over the second half")


if __name__ == "__main__":
    main()
