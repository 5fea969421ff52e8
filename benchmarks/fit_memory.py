"""Whether the memory of a training stays the same from epoch to epoch, in all of its processes.

    python benchmarks/fit_memory.py [--people 400] [--epochs 20] [OPTIONS OF FIT]

Runs `lightning fit` with its default loggers and callbacks, two workers for each loader and a cache
of images on a table of people, and a small network. Prints, for each epoch, the largest memory of
all processes together after any of its batches, in MiB, and how much more it is in the last epoch
than in the second, before which all processes have started. The memory is the proportional set size
(PSS) without the pages of files: the sum of Pss_Anon and Pss_Shmem. It contains what the training
process has freed and keeps, in pieces that do not always fit what comes next. So the last lines say
how much of it is in use at the start of these two epochs, after a search for garbage: MiB in the
heap of glibc, and blocks of Python's own allocator, which has objects up to 512 bytes. Linux with
glibc 2.33 or newer only.
"""

import argparse
import ctypes
import gc
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from memory import total, write_table
from training import WatchedFit

from lightning_pose.commands.configs import find_config

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
"""The fields of what mallinfo2(3) returns."""


class Mallinfo(ctypes.Structure):
    """What the allocator has obtained from the system, and what of it is in use."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS.split()]


def in_use() -> tuple[float, int]:
    """What this process has in use after a search for garbage.

    Returns:
        MiB in glibc's heap, and the number of small blocks in Python's own allocator.
    """
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    found = mallinfo()
    return float(found.uordblks + found.hblkhd) / 2**20, sys.getallocatedblocks()


class MemoryMeter(pl.Callback):
    """Measures the memory after every batch of training and validation.

    Args:
        epochs: How many epochs the training has, 2 or more.

    Attributes:
        peaks: The largest memory of each epoch in MiB.
        used: What `in_use` says at the start of the second epoch and of the last.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.peaks: list[float] = []
        self.used: list[tuple[float, int]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        if len(self.peaks) in (1, self.epochs - 1):
            self.used.append(in_use())
        self.peaks.append(total())

    def on_train_batch_end(self, *_: Any) -> None:
        self.peaks[-1] = max(self.peaks[-1], total())

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.peaks[-1] = max(self.peaks[-1], total())


def growth(first: float, last: float, unit: str) -> str:
    """How two figures compare, with as many digits as they have."""
    digits = 0 if isinstance(first, int) else 1
    change = f"{last - first:+.{digits}f} ({last / first - 1:+.1%})"
    return f"{first:.{digits}f} to {last:.{digits}f} {unit}, {change}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=20)
    options, others = parser.parse_known_args()
    meter = MemoryMeter(options.epochs)
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
    (heap, blocks), (last_heap, last_blocks) = meter.used[0], meter.used[-1]
    print("From epoch 1 to the last:")
    print(f"all processes        {growth(meter.peaks[1], meter.peaks[-1], 'MiB')}")
    print(f"in use: heap         {growth(heap, last_heap, 'MiB')}")
    print(f"in use: Python's own {growth(blocks, last_blocks, 'blocks')}")


if __name__ == "__main__":
    main()
