"""Run folders as arms: what is read, how runs are grouped, and what damaged files say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from lightning_pose.checkpoint import SPEC_KEY
from lightning_pose.commands.finished_runs import (
    _IDENTITY,
    differing_options,
    read_runs,
    read_study,
)
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.report.measure import distinguish
from tests.commands.run_folders import checkpoint, write_run, write_study


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study") / "weights", {"b": 8.0, "a": 4.0}, seeds=2)


@pytest.fixture
def study(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "weights"))


def test_a_study_is_read_in_its_order(study: Path) -> None:
    first, second = read_study(study)
    assert (first.name, second.name) == ("b", "a")
    assert [run.seed for run in first.runs] == [0, 1]
    assert not first.failures
    run = first.runs[0]
    assert run.cost == {"seconds": 61.5, "steps": 4, "epochs": 2, "parameters": 12345}
    assert run.curves["val/joints/PCKh"] == {1: 0.1, 3: run.metrics["joints/PCKh"]}
    assert run.curves["weight/mask"] == {1: 1.0, 3: 1.0}
    # The people give every metric of the model.
    keys = {"mask/Dice", "joints/PCKh", "joints/PCK", "joints/RMSE"}
    assert set(run.shares) == set(first.measures) == keys
    for key, shares in run.shares.items():
        assert shares.value == pytest.approx(run.metrics[key], rel=1e-4)
    measure = first.measures["joints/RMSE"]
    assert (measure.unit, measure.higher_is_better) == ("px", False)
    assert differing_options([first, second]) == {"model.weighting.weights.mask": ["1.0", "2.0"]}
    for arm, name in ((first, "lightning_pose.weightings.FixedWeighting"), (second, "mine.Fixed")):
        arm.runs[0].config["model"]["weighting"] = {"class_path": name}
    classes = differing_options([first, second])["model.weighting.class_path"]
    assert classes == ["FixedWeighting", "mine.Fixed"]


def test_a_head_without_a_metric_is_read_by_its_loss(study: Path) -> None:
    for path in study.glob("*/*/result.json"):
        losses = np.array([1.0, 3.0, np.nan, *([2.0] * 57)], dtype=np.float32)
        change_columns(path.with_name("predictions.npz"), **{"mask/loss": losses})
        result = json.loads(path.read_text())
        # First, as a file may have it, but metrics come first.
        result["metrics"] = {"mask/loss": 2.0, **result["metrics"]}
        path.write_text(json.dumps(result))
    b, _ = read_study(study)
    assert list(b.measures)[-1] == "mask/loss"
    measure = b.measures["mask/loss"]
    assert (measure.unit, measure.higher_is_better, measure.loss) == ("", False, True)
    definition = dict(measure.definition)
    assert definition["class"].endswith(".MaskHead")
    assert definition["input.fit"] == "contain"
    assert not measure.fraction
    shares = b.runs[0].shares["mask/loss"]
    assert shares.value == pytest.approx(2.0)
    assert shares.counts[:, 0].tolist() == [1, 1, 0, *([1] * 57)]


def test_runs_are_grouped_by_their_configs(study: Path, tmp_path: Path) -> None:
    folders = [study / arm / f"seed_{seed}" for seed in (0, 1) for arm in "ab"]
    arms = read_runs(folders)
    assert [(arm.name, len(arm.runs)) for arm in arms] == [("a", 2), ("b", 2)]
    # Arms of one experiment are numbered.
    model = checkpoint(tmp_path)
    for name, seed, weight in (("x", 0, 1.0), ("y", 1, 1.0), ("z", 0, 3.0)):
        write_run(tmp_path / "e" / name, model, 5.0, seed, weight)
    arms = read_runs([tmp_path / "e" / name for name in "xyz"])
    assert [(arm.name, len(arm.runs)) for arm in arms] == [("e 1", 2), ("e 2", 1)]


def test_a_run_that_died_leaves_the_others(study: Path) -> None:
    (study / "a" / "seed_1" / "result.json").unlink()
    (study / "a" / "seed_1.log").write_text("Epoch 1\nMemoryError\n\n")
    # One that failed before its first step has no folder.
    (study / "b" / "seed_7.log").write_text("lightning fit: no.\n")
    (study / "b" / "seed_1_unfinished_1").mkdir()
    b, a = read_study(study)
    assert [len(arm.runs) for arm in (b, a)] == [2, 1]
    assert len(b.failures) == 1
    assert b.failures[0].endswith("seed_7.log is: lightning fit: no.")
    died, missing = a.failures
    assert "seed_1, found no result.json; start the study again; the last line of" in died
    assert died.endswith("seed_1.log is: MemoryError")
    assert missing.endswith("seed_7, found no result.json; train it to its end.")


DAMAGE = {
    "a half npz": ("predictions.npz", lambda text: text[:500], "Expected predictions for each"),
    "no npz": ("predictions.npz", None, "Expected predictions for each person in"),
    "text": ("predictions.npz", lambda text: b"hello", "Expected predictions for each person in"),
    "half JSON": ("result.json", lambda text: text[:40], "Expected JSON in"),
    "a list": ("result.json", lambda text: b"[]", "Expected JSON in"),
    "no cost": ("result.json", lambda text: b'{"metrics": {}}', "Expected metrics and cost of"),
    "no YAML": ("config.yaml", lambda text: b"a: [", "Expected YAML as text"),
    "no steps": ("metrics.csv", lambda text: b"a,b\n1,2\n", "Expected numbers by step in"),
    "a word": ("metrics.csv", lambda text: b"step,a\n1,x\n", "Expected numbers by step in"),
    "no model": ("best.ckpt", None, "Expected best.ckpt, which says how metrics are averaged"),
    "half a model": ("best.ckpt", lambda text: text[:900], "checkpoint"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_one_sentence_and_leaves_the_other_runs(study: Path, damage: str) -> None:
    name, change, sentence = DAMAGE[damage]
    path = study / "a" / "seed_0" / name
    content = path.read_bytes()
    path.unlink()
    if change is not None:
        path.write_bytes(change(content))
    _, a = read_study(study)
    assert [run.seed for run in a.runs] == [1]
    (failure,) = a.failures
    assert sentence in failure
    assert "seed_0" in failure
    assert failure.startswith("Expected ")
    assert failure.count("\n") == 0


def change_columns(path: Path, **changes: np.ndarray | None) -> None:
    with np.load(path) as file:
        columns = {**dict(file), **changes}
    np.savez(path, **{name: column for name, column in columns.items() if column is not None})


def test_a_missing_column_is_one_sentence(study: Path) -> None:
    change_columns(study / "a" / "seed_0" / "predictions.npz", torso_size=None)
    _, a = read_study(study)
    assert "Expected the people's values of joints/PCKh" in a.failures[0]
    assert "torso_size" in a.failures[0]


def test_a_metric_that_the_people_do_not_give_is_known_as_one_number_only(study: Path) -> None:
    path = study / "a" / "seed_0" / "result.json"
    result = json.loads(path.read_text())
    result["metrics"]["mask/Dice"] += 0.05
    path.write_text(json.dumps(result))
    _, a = read_study(study)
    assert "mask/Dice" not in a.runs[0].shares
    assert "mask/Dice" in a.runs[1].shares


def test_other_people_are_refused(study: Path) -> None:
    path = study / "a" / "seed_1" / "predictions.npz"
    with np.load(path) as file:
        ids, keypoints = file["person_id"], file["keypoints"]
    change_columns(path, person_id=ids + 1)
    with pytest.raises(DataError, match=r"other people in .*a/seed_1 than in .*b/seed_0; compare"):
        read_study(study)
    change_columns(path, person_id=ids, keypoints=keypoints[::-1])
    with pytest.raises(DataError, match="found other labels in"):
        read_study(study)


@pytest.mark.parametrize(("column", "words"), _IDENTITY.items())
def test_other_columns_of_the_same_people_are_refused(study: Path, column: str, words: str) -> None:
    path = study / "a" / "seed_1" / "predictions.npz"
    with np.load(path) as file:
        values = file[column]
    # So little that the metrics of these people stay as they are.
    changed = values.copy()
    if values.dtype.kind == "f":
        changed = np.nextafter(values, np.float32(1e9))
    elif values.dtype.kind == "U":
        changed = np.char.add(values, "x")
    else:
        changed.flat[0] += 1
    change_columns(path, **{column: changed})
    with pytest.raises(DataError, match=rf"the same people, found other {words} in .*seed_1"):
        read_study(study)


def test_other_image_level_labels_are_refused(study: Path) -> None:
    label = np.float32([1.5, np.nan, *[2.0] * 58])
    for path in study.glob("*/*/predictions.npz"):
        change_columns(path, **{"label/height": label})
    assert [len(arm.runs) for arm in read_study(study)] == [2, 2]
    change_columns(path, **{"label/height": label[::-1]})
    with pytest.raises(DataError, match="found other label/height in"):
        read_study(study)


def test_pixels_are_those_of_an_input(study: Path) -> None:
    measures = read_study(study)[0].measures
    for key, inside in (("joints/RMSE", True), ("mask/Dice", False), ("joints/PCK", False)):
        assert ("input.size" in dict(measures[key].definition)) == inside
        assert measures[key].fraction != inside


def change_config(path: Path, change: Callable[[dict], None]) -> None:
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def test_a_run_with_other_settings_is_no_run_of_the_arm(study: Path) -> None:
    path = study / "b" / "seed_1" / "config.yaml"
    # These may differ.
    change_config(path, lambda config: config.update(threads=3, experiment="x"))
    b, _ = read_study(study)
    assert len(b.runs) == 2
    change_config(path, lambda config: config["trainer"].update(max_epochs=9))
    change_config(study / "a" / "seed_1" / "config.yaml", lambda config: config.update(data="X"))
    b, a = read_study(study)
    assert [[run.seed for run in arm.runs] for arm in (b, a)] == [[0], [0]]
    (failure,) = b.failures
    assert failure.startswith("Expected the same settings in ")
    assert "the first run of the arm b, found trainer.max_epochs 9 instead of 2; train" in failure
    assert "found data X instead of nothing; train" in a.failures[0]


def test_the_definition_of_a_metric_comes_from_the_checkpoint(study: Path) -> None:
    for path in study.glob("a/*/best.ckpt"):
        content = torch.load(path, weights_only=True)
        settings = content[SPEC_KEY]["model"]["metrics"]["PCKh"]["init_args"]
        assert settings["threshold"] == 0.5
        settings["threshold"] = 0.2
        torch.save(content, path)
    b, a = read_study(study)
    assert ("threshold", "0.5") in b.measures["joints/PCKh"].definition
    assert ("threshold", "0.2") in a.measures["joints/PCKh"].definition
    assert distinguish([b.measures["joints/PCKh"], a.measures["joints/PCKh"]]) == [
        "threshold=0.5",
        "threshold=0.2",
    ]
    assert a.measures["joints/PCK"] == b.measures["joints/PCK"]


def test_a_seed_counts_once(study: Path) -> None:
    shutil.copytree(study / "a" / "seed_0", study / "a" / "copy")
    with pytest.raises(ConfigError, match=r"different seeds in the arm a, found seed 0 in .*copy"):
        read_runs([study / "a" / "seed_0", study / "a" / "copy"])


def test_folders_of_something_else_are_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no study\.json in"):
        read_study(tmp_path)
    with pytest.raises(ConfigError, match=r"found no config\.yaml in .*; check the path"):
        read_runs([study / "a" / "seed_0", tmp_path])


def test_the_metrics_of_the_sets_of_a_mix_and_unknown_values_are_left_out(study: Path) -> None:
    for path in study.glob("*/*/result.json"):
        result = json.loads(path.read_text())
        result["metrics"] |= {"joints/PCKh/lsp": 0.5, "mask/Dice": None}
        path.write_text(json.dumps(result))
        with path.with_name("metrics.csv").open("a") as file:
            file.write("2,5,nan,inf,0.25,\n")
    first, _ = read_study(study)
    assert "joints/PCKh/lsp" not in first.measures
    assert np.isnan(first.runs[0].metrics["mask/Dice"])
    assert not len(first.values("mask/Dice"))
    curves = first.runs[0].curves
    assert list(curves["train/loss"]) == [1]
    assert list(curves["val/joints/PCKh"]) == [1, 3]
    assert curves["val/mask/Dice"] == {3: 0.5, 5: 0.25}
