"""Scores the ended runs of a study on people that they were trained on.

    python -m benchmarks.training_people checkpoints/reproduction --data.val "[1, 750]"
        [OPTIONS OF VALIDATE]

Runs `lightning validate` on best.ckpt and on last.ckpt of each run, with the options that make
training people the validation people: so they are not augmented, and dropout is off. The metrics
are kept in training_people.json in the folder of the run; runs that have one are not scored again,
and runs without both checkpoints are left out.
"""

import argparse
import json
from pathlib import Path

from benchmarks.decoding import validate
from benchmarks.study_runs import TRAINING_PEOPLE
from lightning_pose.atomic import replacing
from lightning_pose.runs import RESULT

CHECKPOINTS = ("best.ckpt", "last.ckpt")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path, help="the folder of the study")
    options, words = parser.parse_known_args()
    ended = [path.parent for path in sorted(options.study.glob(f"*/seed_*/{RESULT}"))]
    new = [run for run in ended if not (run / TRAINING_PEOPLE).is_file()]
    ready = [run for run in new if all((run / name).is_file() for name in CHECKPOINTS)]
    for run in (run for run in new if run not in ready):
        print(f"{run}: left out, because {' or '.join(CHECKPOINTS)} is missing.")
    for run in ready:
        scores = {Path(name).stem: validate(run / name, words) for name in CHECKPOINTS}
        text = json.dumps(scores, indent=1)
        with replacing(run / TRAINING_PEOPLE) as file:
            file.write(f"{text}\n".encode())
    print(f"{options.study}: {len(ready)} runs scored, {len(ended) - len(new)} before.")


if __name__ == "__main__":
    main()
