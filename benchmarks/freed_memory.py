"""What a training on the CPU gains where freed memory stays in the process, as `fit` keeps it.

    python benchmarks/freed_memory.py [--steps 20] [--repeats 5] [OPTIONS OF FIT]

Trains the parts of combined.yaml on ResNet-18 with transposed convolutions (backbone/deconv.yaml)
in a bare loop, in new processes with glibc's own settings and with those of `fit` in turn. Prints
the medians over repeats of milliseconds per step, of processor time and of page faults per step,
and the median ratio of the times of two processes that follow on each other. Linux only.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

from lightning_pose.commands.configs import find_config


def train(kept: bool, steps: int, others: list[str]) -> list[float]:
    """Milliseconds, processor milliseconds and page faults per step, of this process."""
    from training import WARM_UP, BareLoop, CachedBatches, first_batches, parts

    configs = ("combined.yaml", "backbone/deconv.yaml")
    words = [*(f"--config={find_config(config)}" for config in configs), *others]
    loop = BareLoop(parts(words)[0], keep_memory=kept)
    batches = first_batches(words, 4)
    loop.seconds(CachedBatches(batches, WARM_UP + 1))
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for batch in CachedBatches(batches, steps):
        loop.step(batch)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [1e3 * seconds / steps, 1e3 * used / steps, (after.ru_minflt - before.ru_minflt) / steps]


def train_apart(kept: bool, steps: int, others: list[str]) -> list[float]:
    """What `train` returns, of a process of its own."""
    words = [sys.executable, __file__, f"--alone={int(kept)}", f"--steps={steps}", *others]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # Ours.
    return [float(number) for number in done.stdout.splitlines()[-1].split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--alone", type=int, choices=[0, 1], help=argparse.SUPPRESS)
    options, others = parser.parse_known_args()
    if options.alone is not None:
        print(*train(bool(options.alone), options.steps, others))
        return
    pairs = [
        [train_apart(kept, options.steps, others) for kept in (False, True)]
        for _ in range(options.repeats)
    ]
    print(f"{'freed memory is':16} {'ms per step':>12} {'processor ms':>13} {'page faults':>12}")
    for name, runs in zip(("returned", "kept"), zip(*pairs, strict=True), strict=True):
        wall, used, faults = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:16} {wall:12.0f} {used:13.0f} {faults:12.0f}")
    ratio = statistics.median(returned[0] / kept[0] for returned, kept in pairs)
    print(f"{'times as fast':16} {ratio:12.2f}")


if __name__ == "__main__":
    main()
