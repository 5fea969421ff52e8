"""Ended runs are scored on training people once, by their best and their last weights."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import training_people
from benchmarks.study_runs import TRAINING_PEOPLE, Run
from lightning_pose.cli import main as lightning
from tests.commands.project import CONFIG
from tests.data.lspet import write_lspet


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a run that has ended, and one that has not."""
    folder = tmp_path_factory.mktemp("study")
    write_lspet(folder / "lspet", count=12)
    (folder / "tiny.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["--experiment", "arm", "--run", "seed_0", "--trainer.default_root_dir", "study"]
        assert lightning(["fit", "--config", "tiny.yaml", *words]) == 0
    (folder / "study" / "arm" / "seed_1").mkdir()
    return folder


def test_the_people_are_those_of_the_options(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    run = Run(Path("study/arm/seed_0"))
    # On the validation people, the last weights reach what the last validation found.
    assert training_people.score(run.folder, [])["last"] == pytest.approx(last_row(run), abs=1e-6)
    words = ["training_people.py", "study", "--data.val", "[1, 4]", "--data.train", "[5, 8]"]
    monkeypatch.setattr(sys, "argv", words)
    training_people.main()
    found = json.loads((run.folder / TRAINING_PEOPLE).read_text())
    assert found == run.trained
    assert set(found) == {"best", "last"}
    assert set(found["last"]) == set(last_row(run))
    assert found["last"] != pytest.approx(last_row(run), abs=1e-6)
    assert "1 runs scored, 0 before" in capsys.readouterr().out
    training_people.main()
    assert "0 runs scored, 1 before" in capsys.readouterr().out


def last_row(run: Run) -> dict[str, float]:
    """What the last validation of `fit` found."""
    return {key: float(run.rows[-1][key]) for key in run.rows[-1] if key.startswith("val/")}
