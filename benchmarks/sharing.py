"""How fast two trainings are side by side on one machine, compared with one alone.

    python benchmarks/sharing.py [--root FOLDER_OF_LSPE] [--threads 1] [--seconds 40]

Prints images per second for one training of combined.yaml alone, and for each of two at the same
time, with all threads and with `--threads` each. The two are compared over the time in which both
train. With --root, the data is Leeds Sports Pose Extended.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from training import Parts

from lightning_pose.commands.configs import find_config
from lightning_pose.precision import AutoPrecision

WARM_UP = 3
BATCH_SIZE = 32


class Clock(pl.Callback):
    """Prints when each batch is done."""

    def on_train_batch_end(self, *_: Any) -> None:
        print(f"done {time.time()}", flush=True)


def train(words: list[str]) -> None:
    """Train until the process is ended."""
    cli = Parts(["fit", *words], "benchmark")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1000,  # Ended before, but a schedule needs a length.
        limit_val_batches=0,
        callbacks=[Clock()],
        plugins=[AutoPrecision()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    trainer.fit(cli.model, datamodule=cli.datamodule)


def measure(count: int, seconds: float, words: list[str]) -> list[float]:
    """Images per second of each of several trainings, while all of them train."""
    command = [sys.executable, __file__, "--train", *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, **pipes) for _ in range(count)]  # noqa: S603  # Our own.
    done: list[list[float]] = []
    for run in runs:
        assert run.stdout is not None, "asked for above"
        lines = (line for line in run.stdout if line.startswith("done "))
        done.append([float(next(lines).split()[1]) for _ in range(WARM_UP)])
    time.sleep(seconds)
    end = time.time()
    for run, times in zip(runs, done, strict=True):
        run.terminate()
        assert run.stdout is not None, "asked for above"
        times += [float(line.split()[1]) for line in run.stdout if line.startswith("done ")]
        run.wait()
    start = max(times[WARM_UP - 1] for times in done)
    batches = [sum(start < one <= end for one in times) for times in done]
    return [BATCH_SIZE * number / (end - start) for number in batches]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of Leeds Sports Pose Extended")
    parser.add_argument("--threads", type=int, default=1, help="of each of the two")
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args()
    words = [f"--config={find_config('combined.yaml')}", f"--data.batch_size={BATCH_SIZE}"]
    if options.root is not None:
        words += [f"--config={find_config('data/lspet.yaml')}", f"--data.root={options.root}"]
    (alone,) = measure(1, options.seconds, words)
    print(f"{'':<28}{'images/s':>14}{'of one alone':>16}")
    print(f"{'one alone':<28}{alone:>14.1f}{1:>16.2f}")
    shared = [f"--threads={options.threads}"]
    for name, more in (("all threads", []), (f"--threads {options.threads}", shared)):
        rates = measure(2, options.seconds, [*words, *more])
        for number, rate in enumerate(rates, start=1):
            print(f"{f'two, {name}, run {number}':<28}{rate:>14.1f}{rate / alone:>16.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2:])
    else:
        main()
