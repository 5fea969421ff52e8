"""A small project to run the commands in: a dataset, a config, and readers of their output."""

import csv
from pathlib import Path

import pytest

from lightning_pose.cli import main

CONFIG = """
model:
  backbone: {class_path: UNet, init_args: {width: 4}}
  heads:
    mask: {class_path: MaskHead}
    joints: {class_path: SoftmaxJointHead}
    heatmap: {class_path: HeatmapHead}
    coordinates: {class_path: RegressionHead}
  main_head: heatmap
  weighting: {class_path: FixedWeighting, init_args: {weights: {coordinates: 0.5}}}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-3}}
  lr_scheduler: {class_path: WarmupCosine}
  lr_interval: step
data:
  class_path: LSPExtendedDataModule
  init_args:
    root: lspet
    train: [1, 8]
    val: [9, 12]
    test: [13, 16]
    batch_size: 4
    num_workers: 0
    input_spec: {size: [32, 32]}
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
"""


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence with which a command refuses its arguments."""
    capsys.readouterr()
    before = contents(Path("checkpoints"))
    assert main(words) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    sentence = [line for line in err.splitlines() if line.startswith("lightning ")]
    assert len(sentence) == 1, err
    after = contents(Path("checkpoints"))
    assert {path: after.get(path) for path in before} == before, "nothing is lost or overwritten"
    return sentence[0]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def best(run: Path) -> dict[str, str]:
    """The row of metrics.csv that best.ckpt was written for."""
    validations = [row for row in rows(run / "metrics.csv") if row["val/main"]]
    return max(validations, key=lambda row: float(row["val/main"]))


def figures(printed: str) -> dict[str, float]:
    """The metrics in a table that Lightning printed."""
    found = {}
    for line in printed.splitlines():
        cells = line.replace("│", " ").split()
        if len(cells) == 2 and cells[0].startswith(("val/", "test/")):
            found[cells[0]] = float(cells[1])
    return found
