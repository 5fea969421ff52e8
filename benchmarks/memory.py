"""How much memory a table of a million people takes, in all processes of a training together.

    python benchmarks/memory.py [--people 1000000] [--kind csv] [--draws 20000] [--epochs 3]
    python benchmarks/memory.py --table TABLE

Writes tables of 1000 and of a million people with 14 joints, whose rows name a few small images,
and loads each in a new process as training does, with two workers; or loads a table of your own.
Prints, in MiB more than the process had before: the peak of its resident memory while the table is
opened, the proportional set size (PSS) after that, and the PSS of the process and its workers
together after each epoch of some draws. Linux only.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from lightning_pose.datamodules import TableDataModule
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14

SIDE = 96
BATCH_SIZE = 32
FEW = 1000


def write_table(folder: Path, kind: str, people: int) -> Path:
    """Write a table and its eight images; every tenth joint is unlabelled."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(exist_ok=True)
    names = [f"images/{number:012d}.jpg" for number in range(8)]
    for name in names:
        image = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), image)
    path = folder / f"people{people}.{kind}"
    with path.open("w") as file:
        if kind == "csv":
            columns = (f"{joint}_{axis}" for joint in LSP14.names for axis in "xy")
            file.write(f"image,{','.join(columns)}\n")
        for person in range(people):
            name = names[person % len(names)]
            points = rng.uniform(0, SIDE, (LSP14.num_joints, 2)).round(2).tolist()
            labelled = rng.uniform(size=LSP14.num_joints) > 0.1
            if kind == "csv":
                cells = (
                    f"{x},{y}" if seen else ","
                    for (x, y), seen in zip(points, labelled, strict=True)
                )
                file.write(f"{name},{','.join(cells)}\n")
            else:
                written = [
                    point if seen else None for point, seen in zip(points, labelled, strict=True)
                ]
                keypoints = dict(zip(LSP14.names, written, strict=True))
                file.write(json.dumps({"image": name, "keypoints": keypoints}) + "\n")
    return path


def memory(process: int | str, file: str, key: str) -> float:
    """A value in MiB that Linux says about a process."""
    for line in Path(f"/proc/{process}/{file}").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"Expected {key} in /proc/{process}/{file}, found none; use a newer Linux.")


def total() -> float:
    """The proportional set size of this process and its workers together, without files.

    Pages of files are those of libraries, which other programs on the machine share and release.
    """
    workers = [process.pid for process in multiprocessing.active_children()]
    return sum(
        memory(process, "smaps_rollup", key)
        for process in ("self", *workers)
        for key in ("Pss_Anon", "Pss_Shmem")
        if process is not None
    )


def measure(table: Path, draws: int, epochs: int) -> str:
    """Open a table and draw from it; the process must have done nothing else."""
    before, resident = total(), memory("self", "status", "VmRSS")
    start = time.perf_counter()
    data = TableDataModule(
        table, splits=(1.0, 0.0, 0.0), batch_size=BATCH_SIZE, input_spec=InputSpec((64, 64))
    )
    seconds = time.perf_counter() - start
    found = [memory("self", "status", "VmHWM") - resident, total() - before]
    loader = data.train_dataloader()
    for _ in range(epochs):
        for _batch in islice(loader, draws // BATCH_SIZE):
            pass
        found.append(total() - before)
    peak, opened, *after = (f"{value:.0f}" for value in found)
    return (
        f"{len(data.everyone())} people opened in {seconds:.1f} s, MiB at the peak {peak}, "
        f"opened {opened}, after each epoch {' '.join(after)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=["csv", "jsonl"], default="csv")
    parser.add_argument("--draws", type=int, default=20_000, help="people per epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--table", type=Path, help="measure this table alone")
    options = parser.parse_args()
    if options.table is not None:
        print(measure(options.table, options.draws, options.epochs))
        return
    with tempfile.TemporaryDirectory() as folder:
        for people in (FEW, options.people):
            table = write_table(Path(folder), options.kind, people)
            words = [__file__, "--table", str(table), "--draws", str(options.draws)]
            words += ["--epochs", str(options.epochs)]
            # A new process, which has never held anything but this table.
            subprocess.run([sys.executable, *words], check=True)  # noqa: S603  # This file.


if __name__ == "__main__":
    main()
