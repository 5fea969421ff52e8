"""How fast each arm of a study trains on the CPU, and how many steps ten minutes hold.

    python benchmarks/systems.py --study studies/reproduction.yaml [--threads 1] [--batches 10]
        [--repeats 3] [--save FILE] [OPTIONS OF FIT]

Prints, for every arm, images per second, seconds per step and steps in ten minutes of a bare
training loop on cached batches, with one thread as the runs of a study have: the median over
several repeats, in which the arms take turns. --batches are timed, after a few that are not. --save
also writes the seconds per step by arm as JSON.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
from training import WARM_UP, BareLoop, CachedBatches, Parts

from lightning_pose.commands.configs import find_config, read_config, split_configs
from lightning_pose.study import Arm, Study

_MINUTES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", required=True, help="the YAML file of the study")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--save", type=Path, help="the JSON file to write")
    options, words = parser.parse_known_args()
    torch.set_num_threads(options.threads)
    path = find_config(options.study)
    arms = Study.from_dict(read_config(path), path).arms
    found: dict[str, list[float]] = {arm.name: [] for arm in arms}
    sizes = {}
    for _ in range(options.repeats):
        for arm in arms:
            seconds, sizes[arm.name] = step_seconds(arm, words, options.batches)
            found[arm.name].append(seconds)
    medians = {name: statistics.median(values) for name, values in found.items()}
    print(f"{'':28} {'images/s':>10} {'s/step':>8} {f'steps in {_MINUTES} min':>16}")
    for name, seconds in medians.items():
        steps = round(60 * _MINUTES / seconds)
        print(f"{name:28} {sizes[name] / seconds:10.1f} {seconds:8.3f} {steps:16d}")
    if options.save is not None:
        options.save.write_text(json.dumps(medians, indent=1) + "\n", encoding="utf-8")


def step_seconds(arm: Arm, words: list[str], batches: int) -> tuple[float, int]:
    """Seconds per training step of an arm, and the people in one."""
    configs, others = split_configs([*words, *arm.options])
    named = [f"--config={config}" for config in configs]
    cli = Parts(["fit", *named, *others, "--data.num_workers=0"], "benchmark")
    cli.datamodule.setup("fit")
    loader = iter(cli.datamodule.train_dataloader())
    cached = [next(loader) for _ in range(2)]
    loop = BareLoop(cli.model, clip=cli.config.fit.trainer.gradient_clip_val)
    return loop.seconds(CachedBatches(cached, WARM_UP + batches)), len(cached[0])


if __name__ == "__main__":
    main()
