"""The page about the papers' systems says what the runs say, also where runs are missing."""

import csv
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import reproduction, reproduction_curves
from benchmarks.claims import CLAIMS, EMPTY_MAP, PAIRS, Claim, PairedClaim
from benchmarks.papers import DEAD, SYSTEMS, TO_MEAN_POSE
from benchmarks.papers import DICE as DICE_OF_PAGE
from benchmarks.reproduction import (
    claim_row,
    equal_time,
    groups,
    row,
    sequence,
    summary,
    time_row,
)
from benchmarks.study_runs import (
    MEAN_POSE,
    TRAINING_PEOPLE,
    Run,
    Values,
    at_best,
    at_end,
    decide,
    decide_pairs,
    read_runs,
)
from benchmarks.verdicts import values, verdict
from lightning_pose.commands.configs import find_config, read_config
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.study import Study


def arms_of(name: str) -> list[str]:
    path = find_config(name)
    return [arm.name for arm in Study.from_dict(read_config(path), path).arms]


ARMS = arms_of(reproduction.STUDY)
DICE = at_best("mask/Dice", "Dice")

Curve = Callable[[float], float]

# Each metric is another part of the Dice, so that none can be taken for another.
METRICS = {
    "mask/Dice": 1.0, "joints/PCK": 0.9, "coordinates/PCK": 0.8, "coordinates/PCKh": 0.7,
    "coordinates/RMSE": 1.0, "heatmap/PCK": 0.6, "heatmap/PCKh": 0.5,
}  # fmt: skip
METRICS |= {
    f"coordinates/PCKh/{part}": 1.0 for parts in reproduction._PARTS.values() for part in parts
}


def write_run(
    folder: Path, dice: float, steps: int = 800, curves: Mapping[str, Curve] | None = None
) -> None:
    """A run whose validation metrics grow to `dice`, with rows that count steps from 0.

    Args:
        folder: The run's folder.
        dice: The metrics of the last validation, which is the best.
        steps: Steps of the run.
        curves: Other columns by the part of the training, from 0 to 1.
    """
    folder.mkdir(parents=True)
    reached = {metric: dice * part for metric, part in METRICS.items()}
    result = {
        "main": dice, "metrics": reached, "step": steps, "steps": steps,
        "epochs": 30, "seconds": 90.0, "device": "cpu", "parameters": 1_234_567,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "config.yaml").write_text("data: {init_args: {batch_size: 17}}")
    columns: dict[str, Curve] = {
        f"val/{metric}": lambda part, value=value: value * part for metric, value in reached.items()
    }
    columns["val/main"] = lambda part: dice * part
    columns["val/loss"] = lambda part: 0.7
    columns |= {f"val/loss/{head}": lambda part: 0.7 - part / 5 for head in ("joints", "heatmap")}
    columns |= {"train/loss": lambda part: 1 - part / 2} | dict(curves or {})
    best = {key: 0.95 for key in columns if key.startswith("val")}
    people = {"best": best, "last": {"val/loss": 0.3}}
    (folder / TRAINING_PEOPLE).write_text(json.dumps(people))
    rows = []
    for step in range(100, steps + 1, 100):
        for kind in ("train", "val") if step % 200 == 0 else ("train",):
            part = step / steps
            found = {key: of(part) for key, of in columns.items() if key.startswith(kind)}
            rows.append({"step": step - 1, "epoch": (step - 1) * 30 // steps, **found})
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted(set().union(*rows)))
        writer.writeheader()
        writer.writerows(rows)


def two_arms(folder: Path, first: list[float], second: list[float]) -> dict[str, list[Run]]:
    for arm, reached in (("first", first), ("second", second)):
        for seed, dice in enumerate(reached):
            write_run(folder / arm / f"seed_{seed}", dice)
    return read_runs(folder, ["first", "second"])


@pytest.mark.parametrize(
    ("first", "second", "says", "expected"),
    [
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], "higher", "held: difference +0.4000, range 0.2000"),
        (
            [0.5, 0.6, 0.7],
            [0.1, 0.2, 0.3],
            "lower",
            "contradicted: difference +0.4000, range 0.2000",
        ),
        (
            [0.5, 0.6, 0.7],
            [0.1, 0.2, 0.3],
            "alike",
            "contradicted: difference +0.4000, range 0.2000",
        ),
        ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7], "lower", "held: difference -0.400"),
        ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7], "alike", "contradicted: difference -0.400"),
        (
            [0.5, 0.6, 0.7],
            [0.5, 0.5, 0.5],
            "higher",
            "not decided: difference +0.1000, range 0.2000",
        ),
        ([0.5, 0.6, 0.7], [0.41, 0.41, 0.41], "higher", "not decided: difference +0.190"),
        ([0.5, 0.6, 0.7], [0.39, 0.39, 0.39], "higher", "held: difference +0.2100, range 0.2000"),
        ([0.5, 0.5, 0.5], [0.5, 0.6, 0.7], "alike", "compatible, no clear difference: "),
        # Only a clearly higher figure of the first speaks against "not higher".
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], "not higher", "contradicted: difference +0.400"),
        ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7], "not higher", "held: difference -0.400"),
        ([0.5, 0.6, 0.7], [0.5, 0.5, 0.5], "not higher", "compatible, no clear difference: "),
        ([0.5, 0.6], [0.1, 0.2, 0.3], "higher", "not decided: fewer than 3 seeds"),
        ([], [0.1, 0.2, 0.3], "alike", "not decided: fewer than 3 seeds"),
        ([0.5, 0.6], [0.5, 0.6, 0.7], "not higher", "not decided: fewer than 3 seeds"),
    ],
)
def test_a_difference_counts_if_it_is_larger_than_the_range_over_seeds(
    first, second, says, expected, tmp_path: Path
) -> None:
    runs = two_arms(tmp_path, first, second)
    claim = Claim("One is better.", DICE, "first", "second", says)
    assert verdict(claim, runs).startswith(expected)
    assert claim_row(claim, runs).count(" | ") == 5


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0.96, 0.97, 0.98], [0.3, 0.4, 0.94], "held with every seed"),
        ([0.3, 0.5, 0.7], [0.3, 0.4, 0.5], "contradicted: both are below the limit"),
        # Higher, but as far from a map that has learnt nothing as the other one.
        ([0.80, 0.81, 0.82], [0.3, 0.31, 0.32], "contradicted: both are below the limit"),
        ([0.96, 0.97, 0.98], [0.96, 0.97, 0.98], "contradicted: both are above the limit"),
        ([0.7, 0.7, 0.7], [0.99, 0.99, 1.0], "contradicted: with every seed, the first is below"),
        ([0.5, 0.97, 0.98], [0.3, 0.4, 0.5], "not decided: some seeds of the first are above"),
        ([0.96, 0.97, 0.98], [0.3, 0.4, 0.96], "not decided: some seeds of the second are above"),
        ([0.96, 0.97], [0.3, 0.4, 0.5], "not decided: fewer than 3 seeds"),
    ],
)
def test_a_claim_with_a_limit_must_be_true_of_every_run(
    first, second, expected, tmp_path: Path
) -> None:
    runs = two_arms(tmp_path, first, second)
    claim = Claim("One is dead.", DICE, "first", "second", "higher", limit=DEAD)
    assert verdict(claim, runs).startswith(expected)


# What the arms reach if the papers are right, and if they are wrong: the validation metrics, and
# further columns.
UNET = {
    "unet_mask": (0.90, 0.90),
    "harmonic_unet_mask": (0.85, 0.95),
    "unet_mask_heatmap": (0.80, 0.95),
    "unet_mask_heatmap_scale_1": (0.85, 0.80),
    "unet_mask_softmax": (0.950, 0.850),
    "unet_mask_softmax_regression": (0.951, 0.80),
    "unet_triple": (0.70, 0.95),
}
OTHERS = {
    "cnn11": (0.40, 0.60),
    "cnn11_no_bn": (0.50, 0.50),
    "cnn11_no_dropout": (0.40, 0.60),
    "cnn11_no_bn_no_dropout": (0.50, 0.50),
    "vgg16_regression": (0.50, 0.50),
    "vgg16_lstm": (0.30, 0.70),
    "vgg16_attention_lstm": (0.20, 0.80),
    "convpose": (0.50, 0.50),
    "resnet_deconv": (0.50, 0.50),
    "resnet_fcn": (0.50, 0.50),
}


def columns_of(arm: str, wrong: bool, seed: int) -> dict[str, Curve]:
    """What decides the claims that metrics do not decide; seeds differ a little."""
    more = 0.001 * seed
    match arm:
        case "cnn11" | "cnn11_no_dropout":
            flat = {} if wrong else {"val/coordinates/PCK": lambda part: 0.2 + more}
            return {"train/loss": lambda part: 0.8 if wrong else 0.3 - 0.1 * part} | flat
        case "cnn11_no_bn" | "cnn11_no_bn_no_dropout":
            return {"train/loss": lambda part: 0.5 + more}
        case "unet_mask_heatmap_scale_1":
            return {"val/loss/heatmap": lambda part: EMPTY_MAP * ((0.5 if wrong else 0.99) + more)}
        case "unet_mask_heatmap":
            return {"val/loss/heatmap": lambda part: 1e4 * EMPTY_MAP * (0.6 - more)}
        case "vgg16_lstm":
            return {"val/coordinates/RMSE": lambda part: (5 if wrong else 20) + more}
        case "vgg16_regression":
            return {"val/coordinates/RMSE": lambda part: 10 + more}
        case "convpose" if wrong:
            return {"val/loss": lambda part: 0.7 - part / 2, "train/loss": lambda part: 0.1}
    return {}


def poses_of(arm: str, wrong: bool) -> dict[str, list[float]] | None:
    """Predictions of an LSTM that collapse, with errors that grow, or those of plain regression."""
    if not arm.startswith(("vgg16", "cnn11", "convpose")):
        return None
    steps, lstm = np.arange(14), "lstm" in arm
    collapsed = lstm != wrong
    if arm == "cnn11" and not wrong:
        columns = {"error": np.full(14, 0.3)}
        columns |= {"shuffled": np.full(14, 0.3)}
    elif lstm and not wrong:
        columns = {"error": 0.28 + 0.01 * steps, "shuffled": 0.28 + 0.01 * steps}
    else:
        columns = {"error": 0.2 - 0.005 * lstm * steps}
        columns |= {"shuffled": np.full(14, 0.2 if collapsed else 0.5)}
    columns |= {"spread": np.full(14, 0.1 if collapsed else 0.9)}
    columns |= {"to_mean": np.full(14, 0.2 if collapsed else 0.8), "constant": np.full(14, 0.3)}
    return {name: numbers.tolist() for name, numbers in columns.items()}


def write_study(folder: Path, wrong: bool) -> dict[str, list[Run]]:
    """Three seeds of every arm, in which every claim of the papers is true, or none."""
    for arm, reached in (UNET | OTHERS).items():
        for seed in range(3):
            run = folder / arm / f"seed_{seed}"
            write_run(run, reached[wrong] + 0.001 * seed, curves=columns_of(arm, wrong, seed))
            poses = poses_of(arm, wrong)
            if poses is not None:
                (run / MEAN_POSE).write_text(json.dumps(poses))
    return read_runs(folder, list(UNET | OTHERS))


def test_every_claim_can_hold_and_can_fail(tmp_path: Path) -> None:
    assert set(UNET | OTHERS) == set(ARMS)
    right, wrong = (write_study(tmp_path / str(value), value) for value in (False, True))
    for claim in CLAIMS:
        held: str | tuple[str, ...] = ("held", "compatible")
        if claim is claim_of("reaches a plateau."):  # It is about a network at the mean pose.
            held = "not decided: no network has learnt"
        assert verdict(claim, right).startswith(held), claim.text
        assert verdict(claim, wrong).startswith("contradicted"), claim.text
    # Lower than "not higher" is more than no contradiction.
    found = {claim.text: verdict(claim, right) for claim in CLAIMS}
    assert found["Batch norm does not raise the test accuracy."].startswith("held: difference -")
    assert found["Attention does not help the LSTM."].startswith("held: difference -")


def test_the_claims_of_the_papers_are_counted(tmp_path: Path) -> None:
    right, wrong = (write_study(tmp_path / str(value), value) for value in (False, True))
    claims = [claim for claim in CLAIMS if "Ours" not in claim.text]
    held = [verdict(claim, right).startswith("held") for claim in claims]
    # The plateau of a network at the mean pose is the one that is not decided.
    assert 0 < sum(held) < len(claims) - 1
    assert " ".join(summary(right).split()) == (
        f"Of {len(claims)} tests of the papers' [claims](#claims), {sum(held)} held here, 0 were "
        f"contradicted, {len(claims) - sum(held) - 1} are compatible with what was found (that two "
        "systems are alike, or that one is not better), and 1 are not decided."
    )
    words = " ".join(summary(wrong).split())
    assert f" 0 held here, {len(claims)} were contradicted, 0 are" in words


def claim_of(text: str) -> Claim | PairedClaim:
    (claim,) = (claim for claim in CLAIMS if text in claim.text)
    return claim


def figures(text: str, runs: Mapping[str, list[Run]]) -> tuple[float, float]:
    """The medians of a claim's two figures."""
    first, second = values(claim_of(text), runs)
    return first.median, second.median


def test_the_figures_behind_the_claims_are_their_definitions(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=False)
    assert figures("gap opens", runs) == pytest.approx((0.7, 0.3))
    # The validation loss is 0.7. The training losses are 0.625 in the 23rd epoch, the only one of
    # the earlier five that has rows, and 0.5625 and 0.5 in the 27th and 30th.
    assert figures("after 25 epochs", runs) == pytest.approx((0.7 - 0.53125, 0.7 - 0.625))
    # At the end, which is not where best.ckpt is from; three seeds.
    assert figures("every pixel", runs) == pytest.approx((0.991, 0.599))
    assert figures("the heatmap learns nothing", runs) == pytest.approx((0.991, 0.599))
    # Linear between validations at 1/4, 2/4, ... of 800 steps of 17 people.
    epochs = 17 / reproduction.PEOPLE * 800
    assert figures("more epochs", runs) == pytest.approx(
        (epochs * 0.8 / 0.851, epochs * 0.8 / 0.901), rel=1e-6
    )
    assert figures("little more than the mean pose", runs) == pytest.approx((0.345 / 0.3, 2 / 3))
    assert figures("less diverse", runs) == pytest.approx((0.1, 0.9))
    assert figures("nearer to the mean pose", runs) == pytest.approx((0.2, 0.8))
    assert figures("Another person's image", runs) == pytest.approx((1.0, 2.5))
    # The error is 0.28 + 0.01 * step, the other 0.2.
    ends = figures("along the sequence", runs)
    assert ends == pytest.approx(((0.28 + 0.115) / (0.28 + 0.015), 1.0))
    # Eight training losses: the mean of the last five.
    assert figures("lowers the training loss.", runs) == pytest.approx((0.225, 0.501))
    assert figures("does not raise the test accuracy.", runs) == pytest.approx(
        (0.201, 0.8 * 0.501 * 0.625)
    )
    assert figures("equally good joints", runs) == pytest.approx((0.9 * 0.951, 0.9 * 0.952))
    assert figures("Attention does not help", runs) == pytest.approx((0.7 * 0.201, 0.7 * 0.301))
    # Linear between validations; half-way is one of them.
    assert figures("reaches a plateau.", write_study(tmp_path / "wrong", wrong=True)) == (
        pytest.approx((0.8 * 0.601, 0.8 * 0.601 / 2))
    )


def test_two_figures_of_the_same_runs_are_compared_seed_by_seed(tmp_path: Path) -> None:
    # Seeds are far apart, and the first figure is higher in each of them.
    first, second = Values((0.1, 0.5, 0.9), 2), Values((0.08, 0.44, 0.87), 2)
    assert decide_pairs(first, second)[0] == 0, "by 0.02, 0.06 and 0.03"
    second = Values((0.08, 0.475, 0.875), 2)
    assert decide_pairs(first, second)[0] == 1, "by 0.020 to 0.025"
    assert decide_pairs(second, first)[0] == -1
    assert decide_pairs(Values((0.1, 0.5), 2), Values((0.0, 0.4), 2))[0] is None


def test_an_accuracy_that_falls_is_no_plateau(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=True)
    claim = claim_of("reaches a plateau, also")
    for expected, later in (("compatible", 0.2), ("contradicted", 0.1)):
        falls = {"val/coordinates/PCK": lambda part, later=later: 0.2 if part <= 0.5 else later}
        for seed in range(3):
            write_run(tmp_path / expected / f"seed_{seed}", 0.5, curves=falls)
            poses = json.dumps(poses_of("cnn11", True))
            (tmp_path / expected / f"seed_{seed}" / MEAN_POSE).write_text(poses)
        ended = read_runs(tmp_path, [expected])[expected]
        assert verdict(claim, {**runs, "cnn11_no_dropout": ended}).startswith(expected)


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (0.19, "the published +0.190 is too small to be seen with this range"),
        (-0.15, "the published -0.150 is too small to be seen with this range"),
        (0.29, "the published +0.290 is not farther off than this range"),
        (0.31, "the published +0.310 is farther off than this range"),
        (-0.3, "the published -0.300 is farther off than this range"),
        (None, "difference +0.1000, range 0.2000"),
    ],
)
def test_an_open_claim_says_whether_the_published_difference_could_be_seen(
    published, expected, tmp_path: Path
) -> None:
    runs = two_arms(tmp_path, [0.5, 0.6, 0.7], [0.5, 0.5, 0.5])
    claim = Claim("One is better.", DICE, "first", "second", "higher", published=published)
    assert verdict(claim, runs).startswith("not decided: difference +0.1000, range 0.2000")
    assert verdict(claim, runs).endswith(expected)
    clear = two_arms(tmp_path / "clear", [0.5, 0.6, 0.7], [0.1, 0.1, 0.1])
    assert verdict(claim, clear) == "held: difference +0.5000, range 0.2000"


def test_published_differences_are_those_of_the_published_values() -> None:
    systems = {system.arm: system for system in SYSTEMS}
    found = 0
    for claim in CLAIMS:
        if isinstance(claim, Claim) and claim.published is not None:
            found += 1
            # PCKh has another head size, so that it is no value of the system.
            first, second = (
                systems[arm].values.get("Dice") or float(systems[arm].published.split()[-1])
                for arm in (claim.first, claim.second)
            )
            assert claim.published == pytest.approx(first - second)
    assert found == 5


def test_a_figure_that_a_run_lacks_decides_nothing(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=False)
    (tmp_path / "convpose" / "seed_1" / TRAINING_PEOPLE).unlink()
    claim = claim_of("gap opens")
    assert verdict(claim, runs) == "not decided: a run has no such figure"
    assert "training people<br>0.3000 (0.3000 to 0.3000), 1 without" in claim_row(claim, runs)
    # Another way is a value that is not a number.
    known, lacking = Values((0.1, 0.2, 0.3), 3), Values((0.5, 0.6, float("nan")), 3)
    assert decide(lacking, known) == decide(known, lacking) == (None, "a run has no such figure")
    assert str(Values((float("nan"),), 3)) == "none"


def test_networks_at_the_mean_pose_decide_nothing_about_batch_norm(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=False)
    claims = [claim for claim in CLAIMS if claim.needs_learning]
    assert len(claims) == 6
    mean = json.dumps({**poses_of("cnn11", False), "error": [0.29] * 14})
    for arm in ("cnn11_no_bn", "cnn11_no_bn_no_dropout", "cnn11_no_dropout"):
        for seed in range(3):
            (tmp_path / arm / f"seed_{seed}" / MEAN_POSE).write_text(mean)
    runs = read_runs(tmp_path, ARMS)
    for claim in claims:
        assert verdict(claim, runs) == "not decided: no network has learnt more than the mean pose"
    # A single run that has is enough.
    learnt = json.dumps({**poses_of("cnn11", False), "error": [0.28] * 14})
    (tmp_path / "cnn11_no_bn" / "seed_2" / MEAN_POSE).write_text(learnt)
    assert verdict(claim_of("Batch norm lowers the training loss."), read_runs(tmp_path, ARMS)) == (
        "held: difference -0.27600, range 0.00200"
    )


def test_a_difference_is_to_the_published_value_of_the_same_measure(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=False)
    systems = {system.arm: system for system in SYSTEMS}
    cells = {
        arm: row(systems[arm], runs[arm][:1]).split(" | ") for arm in ("vgg16_lstm", "convpose")
    }
    # Another head size, and an unknown unit.
    assert [cell[4] for cell in cells.values()] == ["none", "none"]
    for system in SYSTEMS:
        assert set(system.values) <= {figure.name for figure in system.figures}
        assert all(f"{value}" in system.published for value in system.values.values())


def test_figures_come_from_the_best_checkpoint_or_the_end(tmp_path: Path) -> None:
    # The best of four validations is the second.
    main = {0.25: 0.1, 0.5: 0.8, 0.75: 0.8, 1.0: 0.3}
    curves = {"val/main": main.__getitem__, "val/loss/joints": lambda part: part}
    write_run(tmp_path / "first" / "seed_0", 0.8, curves=curves)
    (run,) = read_runs(tmp_path, ["first"])["first"]
    assert DICE.of(run) == 0.4
    assert at_best("loss/joints", "cross entropy").of(run) == 0.5
    assert [run.at("val/loss/joints", step) for step in (100, 200, 300, 800)] == pytest.approx(
        [np.nan, 0.25, 0.375, 1.0], nan_ok=True
    )
    assert [run.steps_to("val/loss/joints", goal) for goal in (0.1, 0.25, 0.375, 1.0, 1.1)] == (
        pytest.approx([200, 200, 300, 800, np.nan], nan_ok=True)
    )
    # Training loss at steps 600, 700 and 800 of 800.
    assert at_end("train/loss", "loss", last=3).of(run) == pytest.approx(1 - 7 / 16)


def test_errors_relative_to_the_mean_pose_are_means_of_ratios(tmp_path: Path) -> None:
    write_run(tmp_path / "first" / "seed_0", 0.8)
    poses = {name: [1.0, 1.0] for name in ("error", "shuffled", "spread", "to_mean")}
    text = json.dumps({**poses, "constant": [1.0, 2.0]})
    (tmp_path / "first" / "seed_0" / MEAN_POSE).write_text(text)
    (run,) = read_runs(tmp_path, ["first"])["first"]
    assert TO_MEAN_POSE.of(run) == 0.75


def test_the_median_is_followed_by_the_range() -> None:
    assert str(Values((0.3, 0.1, 0.15), 2)) == "0.15 (0.10 to 0.30)"
    assert str(Values((0.3,), 2)) == "0.30"


def test_every_row_names_an_arm_of_the_study() -> None:
    named = {system.arm for system in SYSTEMS}
    named |= {arm for first, second, _ in PAIRS for arm in (first, second)}
    for claim in CLAIMS:
        named |= {claim.arm} if isinstance(claim, PairedClaim) else {claim.first, claim.second}
    drawn = {arm for panel in reproduction_curves.PANELS for arm, _ in panel.lines.values()}
    assert named == drawn == set(ARMS)
    assert set(arms_of(reproduction.FASHION_STUDY)) <= {system.arm for system in SYSTEMS}


def test_convpose_trains_beyond_the_25_epochs_after_which_the_papers_gap_opened() -> None:
    path = find_config(reproduction.STUDY)
    (arm,) = (
        one for one in Study.from_dict(read_config(path), path).arms if one.name == "convpose"
    )
    words = list(arm.options)
    batch = read_config(find_config("papers/convpose.yaml"))["data"]["init_args"]["batch_size"]
    assert not any("batch_size" in word for word in words)
    assert int(words[words.index("--trainer.max_steps") + 1]) * batch > 25 * 8500


def test_the_page_is_written_from_the_runs_that_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Run, "poses", property(lambda _: pytest.fail("made of images")))
    runs, page = tmp_path / "runs", tmp_path / "page.md"
    for seed, dice in enumerate((0.90, 0.91, 0.92)):
        write_run(runs / "unet_mask" / f"seed_{seed}", dice)
    write_run(runs / "harmonic_unet_mask" / "seed_0", 0.8)
    (runs / "harmonic_unet_mask" / "seed_0" / TRAINING_PEOPLE).unlink()
    (runs / "cnn11" / "seed_0").mkdir(parents=True)  # It has not ended.
    speeds = tmp_path / "speeds.json"
    speeds.write_text(json.dumps(dict.fromkeys(ARMS, 0.3) | {"harmonic_unet_mask": 0.9}))
    fashion = tmp_path / "fashion" / "unet_triple" / "seed_0"
    write_run(fashion, 0.7)
    (fashion / TRAINING_PEOPLE).unlink()
    words = ["--runs", str(runs), "--output", str(page), "--speeds", str(speeds)]
    words += ["--fashion", str(tmp_path / "fashion")]
    monkeypatch.setattr(sys, "argv", ["reproduction.py", *words])
    reproduction.main()
    text = page.read_text()
    # 800 steps of 17 people, of 8,500 and of 50.
    ours = "Dice 0.950 / 0.910 (0.900 to 0.920) | Dice -0.009 | 3"
    size = "1.23 million parameters"
    # By the speeds: 800 steps of 0.3 seconds.
    assert f"| {ours} | {size}, 800 steps, 1.6 epochs, 4 min, CPU |" in text
    assert "do not include validation" in " ".join(text.split())
    assert "| Dice 0.800 | Dice -0.111 | 1 |" in text
    assert "| none | no run has ended | none | 0 |" in text
    assert "harmonic_unet_mask<br>unet_mask | Dice | 3.00 | " in text
    assert "after equal time" in text
    assert (
        "resnet_fcn<br>resnet_deconv | PCKh@0.5 (head segment, micro) | 1.00 | no run has ended"
        in text
    )
    assert "Errors along the sequence" not in text
    _, last = text.split("BODY_25\n")
    triple = "Dice 0.896 / 0.886, squared error 11.92 / 14.74, cross entropy 0.076 / 0.084"
    assert f"unet_triple.yaml) | {triple} | Dice 0.700<br>squared error 0.5<br>cross" in last
    assert "800 steps, 272.0 epochs, 2 min, CPU" in last
    assert last.count("no run has ended") == len(arms_of(reproduction.FASHION_STUDY)) - 1
    with Image.open(page.with_suffix(".png")) as picture:
        assert picture.width > 1000
    assert f"4 runs of {len(ARMS)} arms" in capsys.readouterr().out

    (runs / "unet_mask" / "seed_1" / TRAINING_PEOPLE).unlink()
    monkeypatch.setattr(sys, "argv", ["reproduction.py", *words[:4], *words[6:]])
    monkeypatch.setattr(reproduction, "RESULTS", tmp_path)
    reproduction.main()
    text = page.read_text()
    assert "not measured yet" in text
    assert "after equal time" not in text
    assert "| Dice 0.950 (2 seeds) / 0.910 (0.900 to 0.920) |" in text
    assert "800 steps, 1.6 epochs, 2 (2 to 2) min, CPU |" in text
    assert "on a machine with other work" in " ".join(text.split())


def test_the_page_in_the_documentation_is_that_of_the_kept_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    written = tmp_path / "reproduction.md"
    monkeypatch.setattr(sys, "argv", ["reproduction.py", "--output", str(written)])
    reproduction.main()
    assert written.read_text() == (root / "docs" / "reproduction.md").read_text()
    assert (root / "docs" / "reproduction.png").is_file()


def test_a_wrong_path_writes_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--runs", str(tmp_path), "--output", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", ["reproduction.py", *words])
    with pytest.raises(DataError, match=r"Expected runs that have ended in .*, found none"):
        reproduction.main()
    write_run(tmp_path / "unet_mask" / "seed_0", 0.9)
    monkeypatch.setattr(sys, "argv", ["reproduction.py", *words, "--speeds", "nowhere.json"])
    with pytest.raises(ConfigError, match=r"speeds at nowhere\.json, found no such file"):
        reproduction.main()
    (tmp_path / "s.json").write_text(json.dumps(dict.fromkeys(ARMS[1:], 0.3)))
    monkeypatch.setattr(
        sys, "argv", ["reproduction.py", *words, "--speeds", str(tmp_path / "s.json")]
    )
    with pytest.raises(DataError, match=rf"found none of {ARMS[0]}; run"):
        reproduction.main()
    assert not (tmp_path / "page.md").exists()


def test_curves_are_medians_with_their_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = write_study(tmp_path, wrong=False)
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: drawn.append(self))
    speeds = dict.fromkeys(ARMS, 0.3) | {"vgg16_lstm": 0.6}
    for known in (speeds, None):
        reproduction_curves.draw(runs, known, tmp_path / "page.png")
    panels = [{axes.get_title(): axes for axes in figure.axes} for figure in drawn]
    dice = panels[0]["U-Net: Dice"]
    assert len(dice.lines) == 7
    steps, medians = dice.lines[0].get_data()
    assert list(steps) == [200, 400, 600, 800]
    np.testing.assert_allclose(medians, 0.901 * np.array([0.25, 0.5, 0.75, 1.0]))
    band = dice.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.9 / 4, 0.902))
    lstm, later = (panel["VGG16: RMSE of visible joints in px"].lines[1] for panel in panels)
    assert list(lstm.get_xdata()) == pytest.approx([2, 4, 6, 8])  # 0.6 s per step.
    assert list(later.get_xdata()) == [200, 400, 600, 800]  # Steps, where no speed is known.
    # Eight training losses from 0.9375 on: the mean of the last five, from the fifth.
    loss, validation = panels[0]["ConvPose: squared error"].lines
    assert loss.get_color() == validation.get_color(), "of the same arm"
    assert loss.get_linestyle() != validation.get_linestyle()
    assert list(loss.get_xdata()) == [500, 600, 700, 800]
    np.testing.assert_allclose(loss.get_ydata(), 1 - np.array([3, 4, 5, 6]) / 16)
    # Both scales divided by their all-zero maps.
    heatmaps = panels[0]["U-Net: squared error relative to an all-zero map"].lines[:2]
    for line, expected in zip(heatmaps, (0.599, 0.991), strict=True):
        np.testing.assert_allclose(line.get_ydata(), expected)


def test_errors_are_listed_by_the_step_of_the_sequence(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=False)
    assert sequence(runs | {"vgg16_attention_lstm": []}) == "", "has not ended"
    rows = sequence(runs).splitlines()[-14:]
    assert rows[0] == "| 1 | right ankle | 0.300 | 0.200 | 0.280 | 0.280 | 1.40 |"
    assert rows[13] == "| 14 | head top | 0.300 | 0.200 | 0.410 | 0.410 | 2.05 |"


def test_equal_time_is_fewer_steps_of_the_slower_network(tmp_path: Path) -> None:
    for arm, dice in (("unet_mask", 0.8), ("harmonic_unet_mask", 0.88)):
        for seed in range(3):
            write_run(tmp_path / arm / f"seed_{seed}", dice)
    runs = read_runs(tmp_path, ARMS)
    speeds = dict.fromkeys(ARMS, 1.0) | {"harmonic_unet_mask": 1.6}
    cells = time_row("harmonic_unet_mask", "unet_mask", DICE_OF_PAGE, runs, speeds).split(" | ")
    assert cells[2] == "1.60"
    sides = "0.880 (0.880 to 0.880) after 800<br>0.800 (0.800 to 0.800) after 800<br>"
    assert cells[3] == f"{sides}higher: difference +0.0800, range 0.0000"
    # Half-way between two of its four validations.
    sides = "0.550 (0.550 to 0.550) after 500<br>0.800 (0.800 to 0.800) after 800<br>"
    assert cells[4] == f"{sides}lower: difference -0.2500, range 0.0000 |"
    text = " ".join(equal_time(runs, speeds).split())
    assert (
        "The claim that the Harmonic U-Net is slower held: a step takes 1.6 times as long" in text
    )
    # 800 steps of one second, and 800 / 1.1 of 1.6 s.
    minutes = f"{800 / 1.1 * 1.6 / 60:.1f}"
    assert f"it trains for {minutes} ({minutes} to {minutes}) minutes" in text
    assert "and the plain one for 13.3 (13.3 to 13.3)." in text
    faster = equal_time(runs, speeds | {"harmonic_unet_mask": 0.5})
    assert "U-Net is slower did not hold: a step" in " ".join(faster.split())


def test_joints_are_listed_beside_the_published_ones(tmp_path: Path) -> None:
    runs = write_study(tmp_path, wrong=False)
    for seed in range(3):
        path = tmp_path / "vgg16_lstm" / f"seed_{seed}" / "metrics.csv"
        table = path.read_text().splitlines()
        place = table[0].split(",").index("val/coordinates/PCKh/neck")
        rows = [line.split(",") for line in table[1:]]
        for cells in rows:
            cells[place] = cells[place] and "0.7"
        path.write_text("\n".join([table[0], *map(",".join, rows)]) + "\n")
    runs = read_runs(tmp_path, ARMS)
    lines = groups(runs).splitlines()
    # The mean of 0.700 and of 0.300 to 0.302.
    assert "| head | 0.520 | 0.501 (0.500 to 0.502) | 0.392 | 0.500 (0.500 to 0.501) |" in lines
    assert lines[-1].startswith("| ankle | 0.160 | 0.501 (0.500 to 0.502) | 0.075 | 0.301 (")
    assert groups(runs | {"vgg16_lstm": []}) == ""
