"""Ended runs are scored on training people once, by their best and their last weights."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import decoding, training_people
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


def test_a_run_is_scored_once_with_its_best_and_its_last_weights(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    run = Run(Path("study/arm/seed_0"))
    words = ["--data.batch_size", "2"]  # Of the validation people here, which fit has scored.
    monkeypatch.setattr(sys, "argv", ["training_people.py", "study", *words])
    training_people.main()
    found = json.loads((run.folder / TRAINING_PEOPLE).read_text())
    assert found == run.trained
    assert set(found) == {"best", "last"}
    assert found["last"] == pytest.approx(last_row(run), abs=1e-6)
    assert found["best"]["val/heatmap/PCKh"] == pytest.approx(run.best("val/heatmap/PCKh"))
    assert "1 runs scored, 0 before" in capsys.readouterr().out
    training_people.main()
    assert "0 runs scored, 1 before" in capsys.readouterr().out
    # Of a kept run, the checkpoints are gone.
    (run.folder / TRAINING_PEOPLE).unlink()
    last = run.folder / "last.ckpt"
    last.rename(run.folder / "moved.ckpt")
    training_people.main()
    (run.folder / "moved.ckpt").rename(last)
    left_out, scored = capsys.readouterr().out.splitlines()
    assert left_out == f"{run.folder}: left out, because best.ckpt or last.ckpt is missing."
    assert scored == "study: 0 runs scored, 0 before."
    assert not (run.folder / TRAINING_PEOPLE).exists()


def test_options_choose_the_people(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    checkpoint, seen = Path("study/arm/seed_0/last.ckpt"), []

    def command(words: list[str]) -> int:
        seen.append(words)
        checkpoint.with_name("validate_new.json").write_text(json.dumps({"results": {"a": 1.0}}))
        return 0

    monkeypatch.setattr(decoding, "lightning", command)
    assert decoding.validate(checkpoint, ["--data.val", "[1, 4]"]) == {"a": 1.0}
    assert seen == [["validate", f"--ckpt_path={checkpoint}", "--data.val", "[1, 4]"]]
    monkeypatch.setattr(decoding, "lightning", lambda _: 1)
    with pytest.raises(SystemExit):
        decoding.validate(checkpoint, [])


def last_row(run: Run) -> dict[str, float]:
    """What the last validation of `fit` found."""
    return {key: float(run.rows[-1][key]) for key in run.rows[-1] if key.startswith("val/")}
