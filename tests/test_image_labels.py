"""Image-level labels from labels.csv to predictions.json, through the real commands."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import lightning_pose as lp
from lightning_pose.cli import main
from tests.data.folder import write_folder

CONFIG = """
model:
  backbone: {class_path: UNet, init_args: {width: 4}}
  heads:
    joints: {class_path: IntegralHead}
    sport: {class_path: ClassHead, init_args: {label: sport, feature_map: dense, hidden: 8}}
    height: {class_path: ValueHead, init_args: {label: height, mean: 170.0, std: 10.0}}
  main_head: sport
data:
  class_path: FolderDataModule
  init_args:
    root: folder
    batch_size: 4
    num_workers: 0
    splits: [0.6, 0.3, 0.1]
    input_spec: {size: [32, 32]}
trainer:
  max_epochs: 2
  log_every_n_steps: 1
  enable_progress_bar: false
"""
SPORTS = ["judo", "golf", "archery"]


def write_labels(folder: Path, count: int) -> None:
    """A class and a number for each image; every fourth of either is unknown."""
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "sport", "height"])
        for n in range(count):
            sport = "" if n % 4 == 1 else SPORTS[n % 3]
            rows.writerow([f"{n:04d}.jpg", sport, "" if n % 4 == 2 else 160 + n])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short training."""
    root = tmp_path_factory.mktemp("labels")
    write_folder(root / "folder", count=20)
    write_labels(root / "folder", 20)
    (root / "labels.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["fit", "--config", "labels.yaml"]) == 0
    (folder,) = (root / "checkpoints" / "labels").iterdir()
    return folder


def test_training_scores_the_labels_that_are_known(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for key in ("val/sport/Accuracy", "val/height/MAE", "train/loss/sport", "train/loss/height"):
        assert [row for row in rows if row[key]], key
    saved = np.load(run / "predictions.npz")
    sport, right = saved["label/sport"], saved["sport/Accuracy"]
    assert len(sport) == 6
    np.testing.assert_equal(np.isnan(right), sport < 0)
    guess = saved["sport/probabilities"].argmax(axis=1)
    np.testing.assert_array_equal(right[sport >= 0], (guess == sport)[sport >= 0])
    away = np.abs(saved["height/value"] - saved["label/height"])
    np.testing.assert_allclose(saved["height/MAE"], away, rtol=1e-5)
    assert (abs(saved["height/value"] - 170) < 60).all()


def test_validation_gives_the_figures_of_the_training_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parents[2])
    best = run / "best.ckpt"
    assert main(["validate", "--ckpt_path", str(best)]) == 0
    (written,) = run.glob("validate_*.json")
    results = json.loads(written.read_text())["results"]
    saved = np.load(run / "predictions.npz")
    for key, metric in (("sport", "Accuracy"), ("height", "MAE")):
        expected = np.nanmean(saved[f"{key}/{metric}"])
        assert results[f"val/{key}/{metric}"] == pytest.approx(expected, rel=1e-4)
    assert results["val/main"] == results["val/sport/Accuracy"]


def test_predictions_name_the_classes(run: Path, tmp_path: Path) -> None:
    images, output = run.parents[2] / "folder" / "images", tmp_path / "output"
    words = ["--ckpt_path", run / "best.ckpt", "--images", images, "--output", output]
    assert main(["predict", *map(str, words), "--device", "cpu"]) == 0
    content = json.loads((output / "predictions.json").read_text())
    assert content["heads"] == {
        "keypoints": "joints",
        "label/sport": "sport",
        "label/height": "height",
    }
    predictor = lp.load(run / "best.ckpt")
    assert len(content["people"]) == 20
    for entry in content["people"][:3]:
        (person,) = predictor(images / entry["image"])
        sport, height = entry["labels"]["sport"], entry["labels"]["height"]
        assert set(sport) == set(SPORTS)
        assert list(sport.values()) == sorted(sport.values(), reverse=True)
        assert sum(sport.values()) == pytest.approx(1, abs=2e-3)
        assert person.labels["sport"] == pytest.approx(sport, abs=2e-3)
        assert person.labels["height"] == pytest.approx(height, abs=0.1)


def test_a_label_that_the_data_lack_is_refused_in_one_sentence(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parents[2])
    words = ["fit", "--config", "labels.yaml", "--model.heads.sport.label"]
    for label, found in (("team", "which is not there"), ("height", "a number: use ValueHead")):
        assert main([*words, label]) != 0
        printed = capsys.readouterr().err
        assert found in printed
        assert "name one of ['sport']" in printed
        assert "Traceback" not in printed
