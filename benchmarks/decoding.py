"""What each way to read points from heatmaps, and the flip test, change in the PCK of a model.

    python benchmarks/decoding.py RUN [--head heatmap] [OPTIONS OF VALIDATE]

Runs `lightning validate` on best.ckpt of a run once per decoding, with and without the flip test,
and prints PCK@0.05, PCK@0.1 and PCK@0.2. Decodings differ by a fraction of a cell, which shows most
at the tightest threshold. Each `validate` also writes its results beside the checkpoint.
"""

import argparse
import json
from pathlib import Path
from typing import get_args

from lightning_pose.cli import main as lightning
from lightning_pose.heads.heatmap import Decoding

THRESHOLDS = (0.05, 0.1, 0.2)


def score(run: Path, head: str, decoding: str, flip: bool, words: list[str]) -> list[float]:
    """Score a head with PCK at each threshold.

    Args:
        run: The folder of the run.
        head: Its heatmap head.
        decoding: How the head reads points.
        flip: Whether the outputs for the mirrored images are averaged in.
        words: More options of `validate`.

    Returns:
        The PCK at each of `THRESHOLDS`.
    """
    metrics = {
        f"PCK_{threshold}": {"class_path": "PCK", "init_args": {"threshold": threshold}}
        for threshold in THRESHOLDS
    }
    options = [f"--flip={str(flip).lower()}"]
    options += [f"--model.heads.{head}.init_args.decoding={decoding}", "--model.main_metric=null"]
    options += [f"--model.metrics={json.dumps(metrics)}", *words]
    results = validate(run / "best.ckpt", options)
    return [results[f"val/{head}/{name}"] for name in metrics]


def validate(checkpoint: Path, options: list[str]) -> dict[str, float]:
    """Run `lightning validate`, and return the results that it writes beside the checkpoint."""
    before = set(checkpoint.parent.glob("validate_*.json"))
    if status := lightning(["validate", f"--ckpt_path={checkpoint}", *options]):
        raise SystemExit(status)
    (path,) = set(checkpoint.parent.glob("validate_*.json")) - before
    return json.loads(path.read_text(encoding="utf-8"))["results"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--head", default="heatmap", help="the name of its heatmap head")
    options, words = parser.parse_known_args()
    rows = []
    for decoding in get_args(Decoding):
        for flip in (False, True):
            values = score(options.run, options.head, decoding, flip, words)
            rows.append((decoding, "yes" if flip else "no", *(f"{value:.4f}" for value in values)))
    print(f"{'decoding':12} {'flip test':>10}" + "".join(f"{f'PCK@{t}':>10}" for t in THRESHOLDS))
    for decoding, flip, *values in rows:
        print(f"{decoding:12} {flip:>10}" + "".join(f"{value:>10}" for value in values))


if __name__ == "__main__":
    main()
