"""Whole commands in separate processes, as a user types them: minutes, so only on demand."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lightning_pose.datasets import SyntheticDataset
from tests.commands.project import figures
from tests.data.lspet import write_lspet
from tests.weightings.test_contract import WEIGHTINGS

pytestmark = pytest.mark.drill

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY_OVERHEAD = ["--blocks", "1", "--steps", "1", "--epochs", "1", "--repeats", "1"]
TINY_OVERHEAD += ["--batches", "8", "--data.train_size", "64", "--data.val_size", "8"]
TINY_OVERHEAD += ["--data.batch_size", "8", "--data.num_workers", "0"]
TINY_SPEED = ["--networks", "test_resnet@32", "--batch_size", "2", "--steps", "1"]
TINY_SPEED += ["--repeats", "1", "--no_compile"]
TINY_PRECISION = ["--heads", "mask", "heatmap", "--people", "40", "--steps", "2", "--seeds", "2"]
TINY_FREED = ["--steps", "1", "--repeats", "1", "--data.batch_size", "2"]
TINY_MEMORY = ["--people", "40", "--epochs", "2"]


def lightning(folder: Path, *words: str) -> str:
    """Run one command in a new process; return what it printed."""
    return python("-m", "lightning_pose", *words, folder=folder)


def python(*words: str, folder: Path) -> str:
    """Run Python in a new process; return what it printed."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one short epoch of combined.yaml."""
    folder = tmp_path_factory.mktemp("drill")
    words = ["--trainer.max_epochs", "1", "--data.train_size", "4000", "--data.val_size", "201"]
    printed = lightning(folder, "fit", "--config", "combined.yaml", "--run", "short", *words)
    assert "checkpoints/combined/short" in printed
    return folder / "checkpoints" / "combined" / "short"


def test_one_short_epoch_learns_more_than_a_mean_pose(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["val/main"]]
    # The mean pose of these people has a PCKh of less than 0.08.
    assert float(row["val/heatmap/PCKh"]) > 0.16
    assert float(row["val/mask/Dice"]) > 0.5


def test_validation_in_two_processes_gives_the_same_figures(run: Path) -> None:
    words = ["validate", "--ckpt_path", "checkpoints/combined/short/best.ckpt"]
    folder = run.parents[2]
    alone = figures(lightning(folder, *words))
    ddp = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    together = figures(lightning(folder, *words, *ddp))
    scores = {name for name in alone if "loss" not in name}
    assert len(scores) == 11
    for name in scores:
        # Batches of different sizes round differently in bfloat16.
        assert together[name] == pytest.approx(alone[name], rel=2e-3, abs=2e-3), name


def assert_each_person_once(run: Path) -> None:
    people = np.load(run / "predictions.npz")["person_id"].tolist()
    assert people == SyntheticDataset("val", 33).person_ids.tolist()


def test_two_processes_train_into_one_folder(run: Path) -> None:
    folder = run.parents[2]
    words = ["--trainer.max_epochs", "1", "--data.train_size", "128", "--data.val_size", "33"]
    ddp = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    before = set(run.parent.iterdir())
    lightning(folder, "fit", "--config", "combined.yaml", *words, *ddp)
    (new,) = set(run.parent.iterdir()) - before
    assert_each_person_once(new)


def test_torchrun_trains_into_one_folder_too(run: Path) -> None:
    folder = run.parents[2]
    words = ["--trainer.max_epochs", "1", "--data.train_size", "128", "--data.val_size", "33"]
    ddp = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    before = set(run.parent.iterdir())
    command = ["torch.distributed.run", "--nproc_per_node", "2", "-m", "lightning_pose", "fit"]
    python("-m", *command, "--config", "combined.yaml", *words, *ddp, folder=folder)
    (new,) = set(run.parent.iterdir()) - before
    assert (new / "best.ckpt").is_file()
    assert_each_person_once(new)


@pytest.mark.parametrize(
    ("words", "rates"),
    [
        (["training.py", "--batches", "7", "--repeats", "1"], r"(?:loop|fit).*?([\d.]+) +[\d.]+$"),
        (["synthetic.py", "--count", "5", "--repeats", "1"], r"^([\d.]+)"),
        (["overhead.py", *TINY_OVERHEAD], r"(?:steps|validation|fit) .*? +([\d.]+) .*? [\d.]+$"),
        (["cpu_speed.py", *TINY_SPEED], r"channels.*?is +([\d.]+) +[\d.]+ +[\d.]+"),
        (["precision.py", *TINY_PRECISION], r"^\w+ +\w+ +[\d.]+ .*?bfloat16 +([\d.]+)"),
        (["fit_memory.py", *TINY_MEMORY], r"^epoch +\d+ +([\d.]+)$"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_the_benchmarks_print_rates(words: list[str], rates: str, tmp_path: Path) -> None:
    name, *options = words
    printed = python(str(BENCHMARKS / name), *options, folder=tmp_path)
    found = re.findall(rates, printed, re.MULTILINE)
    expected = {"synthetic.py": 2, "cpu_speed.py": 4, "precision.py": 2, "fit_memory.py": 2}
    assert len(found) == expected.get(name, 3), printed
    assert all(float(rate) > 0 for rate in found)


def test_the_benchmark_of_freed_memory_keeps_it_in_one_arm_only(tmp_path: Path) -> None:
    printed = python(str(BENCHMARKS / "freed_memory.py"), *TINY_FREED, folder=tmp_path)
    found = re.findall(r"^(returned|kept) +([\d.]+) +([\d.]+) +(\d+)$", printed, re.MULTILINE)
    (_, *returned), (_, *kept) = found
    assert all(float(number) > 0 for number in (*returned[:2], *kept[:2]))
    assert int(returned[2]) > 3 * int(kept[2]), "page faults"
    assert float(re.findall(r"^times as fast +([\d.]+)$", printed, re.MULTILINE)[0]) > 0


def test_the_benchmark_of_the_input_prints_the_rate_of_every_way(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", count=8)
    words = ["--root", "lspet", "--count", "3", "--repeats", "1"]
    printed = python(str(BENCHMARKS / "input_pipeline.py"), *words, folder=tmp_path)
    found = re.findall(r"^  (.*?) +([\d.]+) +([\d.]+)$", printed, re.MULTILINE)
    assert len(found) == 4 * 8, printed  # Two sets of images, with and without masks.
    for name, rate, ratio in found:
        assert float(rate) > 0
        assert float(ratio) == 1 if name == "our dataset" else float(ratio) > 0


def test_the_benchmark_of_boxes_prints_what_a_model_loses(run: Path, tmp_path: Path) -> None:
    printed = python(str(BENCHMARKS / "boxes.py"), str(run / "best.ckpt"), folder=tmp_path)
    for line in printed.splitlines()[1:]:
        _, joints, silhouette, lost = line.split()
        assert float(joints) > 0.05
        assert float(joints) - float(silhouette) == pytest.approx(float(lost), abs=2e-4)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_benchmark_of_memory_prints_what_a_table_takes(kind: str, tmp_path: Path) -> None:
    words = ["--kind", kind, "--people", "30000", "--draws", "64", "--epochs", "2"]
    printed = python(str(BENCHMARKS / "memory.py"), *words, folder=tmp_path)
    few, many = printed.splitlines()
    found = [[float(n) for n in re.findall(r"[\d.]+", line)] for line in (few, many)]
    assert [len(numbers) for numbers in found] == [6, 6]
    assert [numbers[0] for numbers in found] == [1000, 30000]
    # 30,000 people with 14 joints are 5 MB of arrays.
    assert 3 < found[1][4] - found[0][4] < 60


def test_predict_agrees_with_the_validation(run: Path, tmp_path: Path) -> None:
    people = SyntheticDataset("val", 6)
    (tmp_path / "images").mkdir()
    boxes = {}
    for index in range(len(people)):
        sample = people[index]
        name = f"{index}.png"
        cv2.imwrite(str(tmp_path / "images" / name), cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
        boxes[name] = [sample.box.tolist()]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    lightning(
        tmp_path, "predict", "--ckpt_path", str(run / "best.ckpt"), "--images", "images",
        "--boxes", "boxes.json", "--boxes_around", "joints", "--output", "out",
    )  # fmt: skip
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())["people"]
    assert len(found) == 6
    saved = np.load(run / "predictions.npz")
    rows = {person: row for row, person in enumerate(saved["person_id"].tolist())}
    differences = []
    for entry in found:
        sample = people[int(Path(entry["image"]).stem)]
        validated = saved["heatmap/keypoints"][rows[sample.person_id]]
        keypoints = np.array(entry["keypoints"])[:, :2]
        differences.append(np.linalg.norm(keypoints - validated, axis=1))
    # The validation may run in bfloat16, in which the other of two equal peaks may win.
    assert np.median(differences) < 0.5
    assert np.mean(np.array(differences) < 2) > 0.8


def train_in(folder: Path, processes: int, *words: str) -> list[dict[str, Any]]:
    """What each process has by weighting after the trainings of `tests/processes.py`."""
    folder.mkdir()
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += ["-m", "tests.processes", str(folder), *words]
    python(*command, folder=Path(__file__).parents[1])
    paths = sorted(folder.glob("rank_*.pt"))
    assert len(paths) == processes
    return [torch.load(path, weights_only=True) for path in paths]


def test_two_processes_have_the_loss_curve_of_one_that_has_the_whole_batch(tmp_path: Path) -> None:
    # The second process has no masks, and batch norm has the statistics of both.
    words = ["--batch_norm", "--epochs", "15"]
    (alone,) = (found["fixed"] for found in train_in(tmp_path / "1", 1, *words))
    first, second = (found["fixed"] for found in train_in(tmp_path / "2", 2, *words))
    curve = alone["curve"]
    assert len(curve) == 30
    assert curve[-1] < 0.97 * curve[0], "it learns"
    assert torch.equal(first["curve"], second["curve"])
    # Sums over both processes round differently, which SGD makes larger from step to step.
    torch.testing.assert_close(first["curve"], curve, rtol=1e-3, atol=0)
    for name, value in alone["state"].items():
        assert torch.equal(first["state"][name], second["state"][name]), name
        torch.testing.assert_close(first["state"][name], value, rtol=0.02, atol=0.02)
    assert any("running_var" in name for name in alone["state"])


@pytest.fixture(scope="module", params=[("32-true", "1"), ("bf16-mixed", "2")])
def trained(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """The precision, and what one process has with each weighting, and then each of two."""
    precision, accumulated = request.param
    folder = tmp_path_factory.mktemp("processes")
    words = ["--precision", precision, "--accumulated", accumulated, "--weightings", *WEIGHTINGS]
    found = [one for n in (1, 2) for one in train_in(folder / str(n), n, *words)]
    return precision, found


@pytest.mark.parametrize("weighting", [name for name in WEIGHTINGS if name != "fixed"])
def test_two_processes_train_as_one_with_any_weighting(weighting: str, trained) -> None:
    precision, found = trained
    alone, first, second = (one[weighting] for one in found)
    # The same weights and the same parameters in both processes, to the last bit.
    assert torch.equal(first["weights"], second["weights"])
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert first["losses"] == second["losses"]
    assert first["gradients"] == second["gradients"]
    exact = precision == "32-true"
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if exact else {"rtol": 0.1, "atol": 0.02}
    torch.testing.assert_close(first["weights"], alone["weights"], **tolerance)
    assert alone["weights"][-1].std() > 1e-3, "weights that are not simply equal"
    for name, value in alone["state"].items():
        torch.testing.assert_close(first["state"][name], value, **tolerance)
    for name, value in alone["losses"].items():
        torch.testing.assert_close(
            first["losses"][name], value, rtol=1e-3 if exact else 0.05, atol=1e-4
        )
    for name, value in alone["figures"].items():
        torch.testing.assert_close(
            first["figures"][name], value, rtol=1e-3 if exact else 0.1, atol=0.02, equal_nan=True
        )
    assert list(first["gradients"]) == list(alone["gradients"])
    if exact:
        for step, gradients in alone["gradients"].items():
            assert first["gradients"][step] == pytest.approx(gradients, rel=1e-3, abs=1e-4)
