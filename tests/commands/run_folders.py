"""Folders of runs and of a study, made up from random people instead of trained."""

import json
import shutil
from pathlib import Path

import numpy as np
import yaml

from tests.report.runs import score
from tests.test_checkpoint import small_model, write


def checkpoint(folder: Path) -> Path:
    """The checkpoint that every run gets; only what it says about metrics is read."""
    return write(folder / "model.ckpt", small_model())


def write_run(folder: Path, model: Path, error: float, seed: int, weight: float = 1.0) -> Path:
    """A run whose joints are off by some pixels."""
    folder.mkdir(parents=True)
    shutil.copy(model, folder / "best.ckpt")
    # Every run errs in its own way.
    columns, figures = score(error, seed + round(1000 * error))
    np.savez_compressed(folder / "predictions.npz", **columns)
    config = {
        "seed_everything": seed,
        "experiment": folder.parent.name,
        "run": None,
        "trainer": {"default_root_dir": str(folder.parents[1]), "max_epochs": 2},
        "model": {"weighting": {"class_path": "A", "init_args": {"weights": {"mask": weight}}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    result = {
        "main": figures["joints/PCKh"], "step": 4, "metrics": figures, "steps": 4, "epochs": 2,
        "seconds": 61.5, "parameters": 12345, "device": "cpu",
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "metrics.csv").write_text(
        "epoch,step,train/loss,val/joints/PCKh,val/mask/Dice,weight/mask\n"
        "0,1,2.5,,,1.0\n"
        f"0,1,,0.1,,\n1,3,,{figures['joints/PCKh']},0.5,{weight}\n"
    )
    return folder


def write_study(folder: Path, errors: dict[str, float], seeds: int = 5) -> Path:
    """A study whose arms are off by different numbers of pixels."""
    folder.mkdir(parents=True)
    model = checkpoint(folder.parent)
    for number, (arm, error) in enumerate(errors.items()):
        for seed in range(seeds):
            write_run(folder / arm / f"seed_{seed}", model, error, seed, weight=1.0 + number)
    record = {"command": [], "arms": {arm: [] for arm in errors}}
    (folder / "study.json").write_text(json.dumps(record))
    return folder
