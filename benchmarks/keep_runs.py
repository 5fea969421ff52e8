"""Keeps the small files of a study's ended runs, which a page can be made from again.

    python -m benchmarks.keep_runs checkpoints/reproduction benchmarks/results/reproduction

Copies study.json and, of each run that has ended, config.yaml, result.json and metrics.csv; and
writes mean_pose.json from its predictions, which are too large to keep. Checkpoints are not copied.
Runs that the target has already are not copied again. Of absolute paths in study.json and
config.yaml, only the last name is kept. To resume an interrupted study from such a copy, run this
with the two folders exchanged, write the paths into study.json again, and start `lightning study`,
which does not repeat runs that have a result.json.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from benchmarks.record import without_folders
from benchmarks.study_runs import MEAN_POSE, Run
from lightning_pose.checkpoint import read_spec
from lightning_pose.runs import RESULT

FILES = ("config.yaml", "metrics.csv", MEAN_POSE)
"""What is copied before the result, which says that the run is complete."""


def keep(study: Path, target: Path) -> list[Path]:
    """Copy the small files of the ended runs of a study.

    Args:
        study: The folder of the study.
        target: Where to copy them; the folders of arms and runs have the same names there.

    Returns:
        The folders of the runs that were copied now.
    """
    target.mkdir(parents=True, exist_ok=True)
    _copy(study / "study.json", target / "study.json")
    copied = []
    for result in sorted(study.glob(f"*/seed_*/{RESULT}")):
        folder = result.parent
        kept = target / folder.relative_to(study)
        if (kept / RESULT).is_file():
            continue
        kept.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (folder / name).is_file():
                _copy(folder / name, kept / name)
        if not (folder / MEAN_POSE).is_file() and _has_poses(folder):
            poses = vars(Run(folder).poses)
            text = json.dumps({name: values.tolist() for name, values in poses.items()})
            (kept / MEAN_POSE).write_text(f"{text}\n", encoding="utf-8")
        shutil.copyfile(result, kept / RESULT)
        copied.append(kept)
    return copied


def _copy(path: Path, target: Path) -> None:
    """Copy a file; the settings of a study and of a run without the machine's folders."""
    if path.suffix not in (".json", ".yaml"):
        shutil.copyfile(path, target)
        return
    target.write_text(without_folders(path.read_text(encoding="utf-8")), encoding="utf-8")


def _has_poses(folder: Path) -> bool:
    """Whether the main head of a run predicts joints."""
    path = folder / "predictions.npz"
    if not path.is_file():
        return False
    with np.load(path) as file:
        return f"{read_spec(folder / 'best.ckpt').main_head}/keypoints" in file


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path, help="the folder of the study")
    parser.add_argument("target", type=Path, help="the folder to copy to")
    options = parser.parse_args()
    copied = keep(options.study, options.target)
    print(f"{options.target}: {len(copied)} runs copied.")


if __name__ == "__main__":
    main()
