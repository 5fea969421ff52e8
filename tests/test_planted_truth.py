"""A study finds a truth that was planted: noise in one head's labels harms the other head."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.drill

NOISE = """
from dataclasses import replace

import numpy as np

from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.datasets import SyntheticDataset


class NoisyJoints(SyntheticDataset):
    def annotation(self, index):
        true = super().annotation(index)
        random = np.random.default_rng(true.person_id)
        low, high = true.box[:2], true.box[2:]
        keypoints = random.uniform(low, high, true.keypoints.shape).astype(np.float32)
        return replace(true, keypoints=keypoints)


class NoisyJointsDataModule(SyntheticDataModule):
    def make_dataset(self, split):
        whole = super().make_dataset(split)
        return NoisyJoints(whole.split, whole.length, whole.size)
"""
BASE = """
model:
  backbone: {class_path: UNet, init_args: {width: 4}}
  heads:
    mask: {class_path: MaskHead}
    joints: {class_path: HeatmapHead, init_args: {criterion: cross_entropy}}
  main_head: mask
  weighting: {class_path: FixedWeighting, init_args: {weights: {mask: 1.0, joints: 1.0}}}
  optimizer: {class_path: torch.optim.Adam, init_args: {lr: 3.0e-3}}
data:
  class_path: noisy.NoisyJointsDataModule
  init_args: {train_size: 160, val_size: 100, image_size: 80, batch_size: 8, num_workers: 0}
trainer: {max_epochs: 4, enable_progress_bar: false, accelerator: cpu}
"""
STUDY = {
    "seeds": 5,
    "single_task": False,
    "arms": {
        "joints_x10": "--model.weighting.weights.joints 10.0",
        "joints_x0.1": "--model.weighting.weights.joints 0.1",
    },
}


def test_less_weight_for_a_head_with_noise_for_labels_helps_the_other(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISE)
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "planted.yaml").write_text(yaml.safe_dump(STUDY))

    def lightning(*words: str) -> str:
        command = [sys.executable, "-m", "lightning_pose", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    options = ["--config", "base.yaml", "--data.input_spec.size=[64,64]"]
    lightning("study", "--study", "planted.yaml", *options, "--jobs=2")
    options = ["--metric", "mask/Dice", "--baseline", "joints_x10"]
    printed = lightning("compare", "--study", "checkpoints/planted", *options)
    assert "joints_x0.1: mask/Dice is better than in joints_x10 by 0." in printed
    assert "): real." in printed
    assert "Of 1 comparison, 1 real, 0 noise, 0 not decided." in printed
    # The joints of nobody can be learnt, whatever their weight.
    for result in (tmp_path / "checkpoints" / "planted").glob("*/*/result.json"):
        assert json.loads(result.read_text())["metrics"]["joints/PCKh"] < 0.1
