"""The page about the papers' systems says what the runs say, also where runs are missing."""

import csv
import json
import sys
from pathlib import Path

import pytest

from benchmarks import reproduction
from benchmarks.papers import CLAIMS, SYSTEMS, Claim
from benchmarks.reproduction import claim_row, equal_time, verdict
from benchmarks.study_runs import Run, Values, at_best, at_end, read_runs
from lightning_pose.commands.configs import find_config, read_config
from lightning_pose.study import Study

ARMS = [
    arm.name
    for arm in Study.from_dict(
        read_config(find_config(reproduction.STUDY)), find_config(reproduction.STUDY)
    ).arms
]
DICE = at_best("mask/Dice", "Dice")


def write_run(folder: Path, dice: float, steps: int = 800) -> None:
    """A run whose validation Dice grows to `dice`, with rows that count steps from 0."""
    folder.mkdir(parents=True)
    keys = [key for system in SYSTEMS for key in ("mask/Dice", "joints/PCK")]
    keys += ["coordinates/PCK", "coordinates/PCKh", "coordinates/RMSE"]
    keys += ["heatmap/PCK", "heatmap/PCKh"]
    result = {
        "main": -0.5, "metrics": dict.fromkeys(keys, dice), "steps": steps, "epochs": 2,
        "seconds": 90.0, "device": "cpu",
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    rows = []
    for step in range(100, steps + 1, 100):
        part = step / steps
        rows.append({"step": step - 1, "train/loss": 1 - part / 2})
        if step % 200 == 0:
            losses = {f"val/loss/{head}": 0.7 - part / 5 for head in ("joints", "heatmap")}
            values = {f"val/{key}": dice * part for key in set(keys)}
            rows.append({"step": step - 1, "val/loss": 0.7, **losses, **values})
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted(set().union(*rows)))
        writer.writeheader()
        writer.writerows(rows)


def two_arms(folder: Path, first: list[float], second: list[float]) -> dict[str, list[Run]]:
    for arm, values in (("first", first), ("second", second)):
        for seed, dice in enumerate(values):
            write_run(folder / arm / f"seed_{seed}", dice)
    return read_runs(folder, ["first", "second"])


@pytest.mark.parametrize(
    ("first", "second", "sign", "expected"),
    [
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], 1, "held: difference +0.400, range 0.200"),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], -1, "the opposite: difference +0.400, range 0.200"),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], 0, "not alike: difference +0.400, range 0.200"),
        ([0.5, 0.6, 0.7], [0.5, 0.5, 0.5], 1, "not decided: difference +0.100, range 0.200"),
        ([0.5, 0.6, 0.7], [0.41, 0.41, 0.41], 1, "not decided: difference +0.190, range 0.200"),
        ([0.5, 0.6, 0.7], [0.39, 0.39, 0.39], 1, "held: difference +0.210, range 0.200"),
        ([0.5, 0.5, 0.5], [0.5, 0.6, 0.7], 0, "alike within the range of seeds: difference -0.100"),
        ([0.5, 0.6], [0.1, 0.2, 0.3], 1, "not decided: fewer than 3 seeds"),
        ([], [0.1, 0.2, 0.3], 0, "not decided: fewer than 3 seeds"),
    ],
)
def test_a_difference_counts_if_it_is_larger_than_the_range_over_seeds(
    first, second, sign, expected, tmp_path: Path
) -> None:
    runs = two_arms(tmp_path, first, second)
    claim = Claim("One is better.", DICE, "first", "second", sign)
    assert verdict(claim, runs).startswith(expected)
    assert claim_row(claim, runs).count(" | ") == 5


def test_figures_come_from_the_best_checkpoint_or_the_end(tmp_path: Path) -> None:
    run = two_arms(tmp_path, [0.8], [])["first"][0]
    assert DICE.of(run) == 0.8
    # Training loss at steps 600, 700 and 800 of 800.
    assert at_end("train/loss", "loss", last=3).of(run) == pytest.approx(1 - 7 / 16)


def test_the_median_is_followed_by_the_range() -> None:
    assert str(Values((0.3, 0.1, 0.15), 2)) == "0.15 (0.10 to 0.30)"
    assert str(Values((0.3,), 2)) == "0.30"


def test_every_row_names_an_arm_of_the_study() -> None:
    named = {system.arm for system in SYSTEMS}
    named |= {arm for claim in CLAIMS for arm in (claim.first, claim.second)}
    named |= {arm for _, arms in reproduction.CURVES.values() for arm in arms}
    assert named == set(ARMS)


def test_the_page_is_written_from_the_runs_that_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Run, "poses", property(lambda _: pytest.fail("made of images")))
    runs, page = tmp_path / "runs", tmp_path / "page.md"
    for seed, dice in enumerate((0.90, 0.91, 0.92)):
        write_run(runs / "unet_mask" / f"seed_{seed}", dice)
    write_run(runs / "harmonic_unet_mask" / "seed_0", 0.8)
    (runs / "cnn11" / "seed_0").mkdir(parents=True)  # It has not ended.
    speeds = tmp_path / "speeds.json"
    speeds.write_text(json.dumps({"harmonic_unet_mask": 0.9, "unet_mask": 0.3}))
    words = ["--runs", str(runs), "--output", str(page), "--speeds", str(speeds)]
    monkeypatch.setattr(sys, "argv", ["reproduction.py", *words])
    reproduction.main()
    text = page.read_text()
    assert "Dice 0.910 (0.900 to 0.920) | 3 | 800 steps, 2 epochs" in text
    assert "Dice 0.800 | 1 |" in text
    assert "| none | no run has ended | 0 |" in text
    assert "takes 3.0 times as long" in text
    assert page.with_suffix(".png").stat().st_size > 10_000
    assert f"4 runs of {len(ARMS)} arms" in capsys.readouterr().out


def test_equal_time_is_fewer_steps_of_the_slower_network(tmp_path: Path) -> None:
    for arm, dice in (("unet_mask", 0.8), ("harmonic_unet_mask", 0.9)):
        write_run(tmp_path / arm / "seed_0", dice)
    runs = read_runs(tmp_path, ["unet_mask", "harmonic_unet_mask"])
    text = "\n".join(equal_time(runs, {"unet_mask": 1.0, "harmonic_unet_mask": 2.0}))
    assert "| plain, 800 steps | 0.800 |" in text
    # Two of its four validations.
    assert "| harmonic, the 400 steps that take as long | 0.450 |" in text
    assert "| harmonic, 800 steps | 0.900 |" in text
    # 98 % of 0.8 needs the last validation of the plain one, and of the harmonic one as well.
    assert "first seen at step 800 of the plain network and at step 800" in text
