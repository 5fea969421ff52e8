"""The real `lightning compare` on made-up runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from lightning_pose.cli import main
from tests.commands.project import refused
from tests.commands.run_folders import checkpoint, write_run, write_study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Arms of which the third is much better than the others."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "checkpoints" / "weights", {"equal": 8.0, "same": 8.01, "sharp": 5.0})
    return "checkpoints/weights"


def test_a_study_is_printed_and_becomes_a_page(study: str, capsys) -> None:
    assert main(["compare", "--study", study]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"sharp +5 ", out)
    (real,) = re.findall(r"^sharp: joints/PCKh is better than in equal by .*: real\.$", out, re.M)
    assert re.search(r"^same: joints/PCKh is .*: (not decided|noise.*)\.$", out, re.M)
    assert out.endswith("Page to look at: compare.html\n")
    text = Path("compare.html").read_text(encoding="utf-8")
    assert "<h1>Study weights</h1>" in text
    assert f'<li class="real">{real}</li>' in text
    assert "the 60 people" in text
    assert "<th>model.weighting.weights.mask</th><td>1.0</td><td>2.0</td><td>3.0</td>" in text
    # Again, in the place of the first.
    assert main(["compare", "--study", study, "--metric=joints/RMSE", "--baseline=sharp"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^equal: joints/RMSE is worse than in sharp by .* px .*: real\.$", out, re.M)
    assert "Dice is" not in out
    assert main(["compare", "--study", study, "--margin=0.9"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^same: joints/PCKh is .*: noise, within the margin of 0\.900\.$", out, re.M)


def test_runs_of_two_experiments_are_compared(study: str, capsys) -> None:
    runs = [f"{study}/{arm}/seed_{seed}" for arm in ("equal", "sharp") for seed in (0, 1)]
    assert main(["compare", *runs, "--output=two.html"]) == 0
    out = capsys.readouterr().out
    assert "sharp: joints/PCKh is better than in equal" in out
    assert out.count("not decided: 2 seeds; 5 are needed.") == 2
    assert "<h1>Comparison of runs</h1>" in Path("two.html").read_text(encoding="utf-8")


def test_an_arm_that_died_is_named(study: str, capsys) -> None:
    for path in Path(study, "sharp").glob("*/result.json"):
        path.unlink()
    assert main(["compare", "--study", study]) == 0
    out = capsys.readouterr().out
    assert "sharp: joints/PCKh is not compared with equal: no run of sharp has ended." in out
    assert out.count("Left out of sharp: Expected a run that has ended in") == 5
    assert "5 runs are left out" in Path("compare.html").read_text(encoding="utf-8")


def test_runs_without_curves_are_compared(study: str, capsys) -> None:
    for path in Path(study).glob("*/*/metrics.csv"):
        path.unlink()
    assert main(["compare", "--study", study]) == 0
    assert "Learning curves" not in Path("compare.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Expected run folders or --study, found neither; give one of them."),
        (["--study", "STUDY", "STUDY/equal/seed_0"], "found both; give one of them."),
        (["--study", "STUDY/equal"], "found no study.json in"),
        (["STUDY"], "found no config.yaml in"),
        (["--study", "STUDY", "--baseline=flat"], "found 'flat'; correct --baseline"),
        (["--study", "STUDY", "--metric=Dice"], "found 'Dice'; correct --metric"),
        (["--study", "STUDY", "--margin=0"], "Expected --margin above 0 and below 1, found 0.0"),
        (["--study", "STUDY", "--margin=nan"], "Expected --margin above 0 and below 1, found nan"),
        (["--study", "STUDY", "--output=notes.html"], "page of lightning compare, at notes.html"),
        (["--study", "STUDY", "--output=none/a.html"], "Expected a folder for the page at none"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    study: str, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("notes.html").write_text("<p>Mine.</p>")
    words = [word.replace("STUDY", study) for word in words]
    assert sentence in refused(capsys, "compare", *words)
    assert Path("notes.html").read_text() == "<p>Mine.</p>"
    assert not Path("compare.html").exists()


def test_runs_of_different_people_are_refused(study: str, tmp_path: Path, capsys) -> None:
    model = checkpoint(tmp_path)
    other = write_run(tmp_path / "other" / "first", model, 5.0, 0) / "predictions.npz"
    with np.load(other) as file:
        columns = dict(file)
    np.savez(other, **{**columns, "person_id": columns["person_id"] + 1})
    sentence = refused(capsys, "compare", f"{study}/equal/seed_0", "other/first")
    assert "Expected runs that were scored on the same people" in sentence
