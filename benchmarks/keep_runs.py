"""Keeps the small files of a study's ended runs, which a page can be made from again.

    python -m benchmarks.keep_runs checkpoints/reproduction benchmarks/results/reproduction

Copies study.json and, of each run that has ended, config.yaml, result.json, metrics.csv and what
`training_people.py` has written; and writes mean_pose.json from its predictions, which are too
large to keep. Checkpoints are not copied. Files of runs that the target has already are left as
they are. Of absolute paths in study.json and config.yaml, only the last name is kept. To resume an
interrupted study from such a copy, run this with the two folders exchanged, write the paths into
study.json again, and start `lightning study`, which does not repeat runs that have a result.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.record import without_folders
from benchmarks.study_runs import MEAN_POSE, TRAINING_PEOPLE, Run
from lightning_pose.atomic import replacing
from lightning_pose.checkpoint import read_spec
from lightning_pose.runs import RESULT

FILES = ("config.yaml", "metrics.csv", TRAINING_PEOPLE, MEAN_POSE, RESULT)
"""What is copied; the result is the last, because it says that the run is complete."""


def keep(study: Path, target: Path) -> list[Path]:
    """Copy the small files of the ended runs of a study.

    Args:
        study: The folder of the study.
        target: Where to copy them; the folders of arms and runs have the same names there.

    Returns:
        The folders of the runs of which something was copied now.
    """
    target.mkdir(parents=True, exist_ok=True)
    _keep_file(study, target, "study.json")
    copied = []
    for result in sorted(study.glob(f"*/seed_*/{RESULT}")):
        folder = result.parent
        kept = target / folder.relative_to(study)
        kept.mkdir(parents=True, exist_ok=True)
        missing = [name for name in FILES if not (kept / name).is_file()]
        if [name for name in missing if _keep_file(folder, kept, name)]:
            copied.append(kept)
    return copied


def _keep_file(folder: Path, kept: Path, name: str) -> bool:
    """Copy a file, of settings without the machine's folders; False if there is none."""
    path = folder / name
    if path.is_file():
        content = path.read_bytes()
        if path.suffix in (".json", ".yaml"):
            content = without_folders(content.decode()).encode()
    elif name == MEAN_POSE and _has_poses(folder):
        poses = vars(Run(folder).poses)
        content = json.dumps({key: values.tolist() for key, values in poses.items()}).encode()
    else:
        return False
    with replacing(kept / name) as file:
        file.write(content)
    return True


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
