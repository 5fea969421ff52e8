"""A study's small files are enough to make a page of them, and to go on with the study."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.keep_runs import keep
from benchmarks.study_runs import MEAN_POSE, TRAINING_PEOPLE, Run
from lightning_pose.runs import RESULT
from tests.benchmarks.test_mean_pose import ORDER, small
from tests.benchmarks.test_mean_pose import write_run as write_poses
from tests.benchmarks.test_reproduction import write_run

POSES = np.random.default_rng(0).uniform(0, 100, (40, 14, 2))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with an ended run that predicts joints, one that does not, and one that goes on."""
    folder = tmp_path / "study"
    for arm in ("lstm", "mask"):
        write_run(folder / arm / "seed_0", 0.5)
        (folder / arm / "seed_0" / "config.yaml").write_text("root: /data/lspet\nsize: 1/2\n")
        (folder / arm / "seed_0" / "last.ckpt").touch()
    write_poses(folder / "lstm" / "seed_0", small(ORDER), POSES)
    (folder / "mask" / "seed_1").mkdir()
    words = ["--data.root", "/data/lspet", "--data.cache=/tmp/my/cache/", "a/b"]
    (folder / "study.json").write_text(json.dumps({"options": words}))
    return folder


def test_what_is_kept_gives_the_same_figures(study: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert keep(study, kept) == [kept / "lstm" / "seed_0", kept / "mask" / "seed_0"]
    found, expected = (Run(folder / "lstm" / "seed_0") for folder in (kept, study))
    assert found.rows == expected.rows
    assert found.result == expected.result
    for name, column in vars(expected.poses).items():
        np.testing.assert_array_equal(getattr(found.poses, name), column, name)
    assert expected.poses.spread[0] > 0
    names = {path.name for path in kept.rglob("*") if path.is_file()}
    expected = {"study.json", "config.yaml", "metrics.csv", RESULT, MEAN_POSE, TRAINING_PEOPLE}
    assert names == expected
    assert not (kept / "mask" / "seed_0" / "mean_pose.json").exists()


def test_no_folder_of_the_machine_is_kept(study: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keep(study, kept)
    words = json.loads((kept / "study.json").read_text())["options"]
    assert words == ["--data.root", "lspet", "--data.cache=cache", "a/b"]
    assert (kept / "mask" / "seed_0" / "config.yaml").read_text() == "root: lspet\nsize: 1/2\n"


def test_runs_that_are_kept_already_stay_as_they_are(study: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keep(study, kept)
    (kept / "mask" / "seed_0" / RESULT).write_text("{}")
    assert keep(study, kept) == []
    assert (kept / "mask" / "seed_0" / RESULT).read_text() == "{}"
    # But what was written into a run later on is added.
    (kept / "mask" / "seed_0" / TRAINING_PEOPLE).unlink()
    assert keep(study, kept) == [kept / "mask" / "seed_0"]
    assert Run(kept / "mask" / "seed_0").trained["last"] == {"val/loss": 0.3}


def test_a_study_goes_on_from_what_is_kept(study: Path, tmp_path: Path) -> None:
    kept, again = tmp_path / "kept", tmp_path / "again"
    keep(study, kept)
    assert len(keep(kept, again)) == 2
    for arm in ("lstm", "mask"):
        first, last = (folder / arm / "seed_0" / RESULT for folder in (study, again))
        assert json.loads(last.read_text()) == json.loads(first.read_text())
    poses = [Run(folder / "lstm" / "seed_0").poses.error for folder in (study, again)]
    np.testing.assert_array_equal(*poses)
