"""Write docs/reproduction.md and its picture from the runs of configs/studies/reproduction.yaml.

    python -m benchmarks.reproduction [--runs checkpoints/reproduction] [--speeds FILE]
        [--fashion FOLDER] [--output docs/reproduction.md]

Runs that have not ended are left out, and each figure says how many seeds it has. The speeds are
those that `benchmarks/systems.py --save FILE` has measured; without them, nothing is compared at
equal time. `--fashion` names the runs of configs/studies/fashion.yaml. What the papers say is in
benchmarks/papers.py. All runs can also be those that `benchmarks/keep_runs.py` has copied.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Picture

from benchmarks.papers import CLAIMS, PAIRS, SYSTEMS, Claim, System
from benchmarks.study_runs import Figure, Run, Runs, Values, at_best, decide, read_runs
from lightning_pose.commands.configs import find_config, read_config
from lightning_pose.study import Study

STUDY, FASHION_STUDY = "studies/reproduction.yaml", "studies/fashion.yaml"

CURVES = {
    "11-layer CNN: PCK@0.2": ("val/coordinates/PCK", ("cnn11", "cnn11_no_bn")),
    "ResNet: PCKh@0.5": ("val/heatmap/PCKh", ("resnet_deconv", "resnet_fcn")),
    "U-Net: Dice": (
        "val/mask/Dice",
        (
            "unet_mask",
            "harmonic_unet_mask",
            "unet_mask_heatmap",
            "unet_mask_softmax",
            "unet_mask_softmax_regression",
            "unet_triple",
        ),
    ),
    "U-Net: PCK@0.2 of softmax joints": (
        "val/joints/PCK",
        ("unet_mask_softmax", "unet_mask_softmax_regression", "unet_triple"),
    ),
    "VGG16: PCKh@0.5": (
        "val/coordinates/PCKh",
        ("vgg16_regression", "vgg16_lstm", "vgg16_attention_lstm"),
    ),
    "ConvPose: squared error": ("val/loss", ("convpose",)),
}

_HEAD = """\
# What the systems of the papers reach here

`python -m benchmarks.reproduction` wrote this page from the runs of

```bash
lightning study --study {study} --data LSPExtendedDataModule --data.root FOLDER \\
  --data.splits null
```

on Leeds Sports Pose Extended: 8,500 photographs train and 750 validate. Joints were labelled by
crowd workers and masks by BlazePose, so that a Dice says how well BlazePose is imitated. The
papers' Dice is against Mask R-CNN; the two cannot be compared, only the order of the systems can.

The networks are small, because two CPU cores trained them. The study's file has every setting that
differs from the config of the paper, and the config says what the paper leaves open. Budgets are
counted in optimiser steps. The minutes were measured on a machine with other work, so they only
say roughly what a run costs.

Figures are medians over seeds, with the lowest and the highest in brackets. They are those of
best.ckpt on validation images if not said otherwise: of the validation with the best main metric.
Published pairs are for training and validation images. A difference is our median minus the
published value for validation images, where both are the same measure.

![Learning curves]({picture})

## Systems

| config | the paper's protocol | published | ours | difference | seeds | budget | likely reasons |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

_CLAIMS = """
## Claims

A claim is decided if the medians differ by more than the larger of the two ranges over seeds, and
there are three seeds or more. With three seeds each, this rule finds a difference between two
equal systems in 6 % of comparisons (simulated with normal seeds). Where a paper finds two systems
alike, a smaller difference agrees with it. Where it finds that a system is not better than another,
only a clear difference in favour of that system speaks against it.

An all-zero map is the result of a network that has learnt nothing of the heatmap. A map is counted
as dead if its squared error is more than 0.95 times that of an all-zero map on the same images, and
the claim about it must be true of every run.

| claim | figure | first | second | seeds | here |
| --- | --- | --- | --- | --- | --- |
"""


_EQUAL_TIME = """
## At equal time

Seconds per step were measured apart from these runs, on a quiet machine. The figures are those of
the best validation until then, as if the training had ended there. "Higher" and "lower" are said of
the first system, by the rule for claims. The paper's trainings of the harmonic and of the plain
U-Net took 30 h and 6.5 h, a ratio of 4.6.

| first and second | figure | time of a step, ratio | after as many steps | after as much time |
| --- | --- | --- | --- | --- |
"""

_FASHION = """
## With the 25 joints of BODY_25

These are the U-Nets as the paper trains them (whole images with a short side of 128 pixels, one per
batch, 100 epochs), but half as wide, and on 63 fashion photographs instead of 5,000: 50 for
training and 13 for validation, which are too few to decide between two systems. People drew the
masks, and BlazePose labelled the joints.

```bash
lightning study --study {study} --data.root FOLDER
```

| config | ours | seeds | budget |
| --- | --- | --- | --- |
"""


def row(system: System, runs: Sequence[Run]) -> str:
    """A row of the table of systems."""
    figures = _figures(system, runs)
    differences = [
        f"{figure.name} {ours.median - system.values[figure.name]:+.{figure.digits}f}"
        for figure, ours in figures
        if figure.name in system.values
    ]
    return _cells(
        _link(system),
        system.protocol,
        system.published,
        _ours(figures),
        "<br>".join(differences) or "none",
        len(runs),
        _budget(runs),
        system.reasons,
    )


def fashion_row(system: System, runs: Sequence[Run]) -> str:
    """A row of the table of systems with 25 joints."""
    return _cells(_link(system), _ours(_figures(system, runs)), len(runs), _budget(runs))


def claim_row(claim: Claim, runs: Runs) -> str:
    """A row of the table of claims."""
    first, second = _both(claim, runs)
    sides = [_name(claim.first, claim.figure, claim), str(first)]
    others = [_name(claim.second, claim.second_figure or claim.figure, claim), str(second)]
    return _cells(
        claim.text,
        claim.figure.name,
        "<br>".join(sides),
        "<br>".join(others),
        f"{len(first.values)}, {len(second.values)}",
        verdict(claim, runs),
    )


def verdict(claim: Claim, runs: Runs) -> str:
    """Whether a claim held, did not, or is not decided."""
    first, second = _both(claim, runs)
    sign, numbers = decide(first, second)
    if sign is None:
        return f"not decided: {numbers}"
    if claim.limit is not None:
        return _by_limit(claim.limit, first, second)
    match claim.says, sign:
        case "alike", 0:
            return f"alike within the range of seeds: {numbers}"
        case "alike", _:
            return f"not alike: {numbers}"
        case "not higher", 0:
            return f"held, without a clear difference: {numbers}"
        case _, 0:
            return f"not decided: {numbers}"
    held = (sign > 0) == (claim.says == "higher")
    return f"held: {numbers}" if held else f"the opposite: {numbers}"


def _by_limit(limit: float, first: Values, second: Values) -> str:
    """The verdict on a claim that the first is above a limit, and the second below it."""
    if min(first.values) > limit > max(second.values):
        return "held with every seed"
    if max(first.values) < limit and max(second.values) < limit:
        return "the opposite: both are below the limit, with every seed"
    return "not decided: the seeds differ, or the second is not below the limit"


def equal_time(runs: Runs, speeds: Mapping[str, float]) -> str:
    """Pairs of arms after as many steps, and after as much time, by seconds per step."""
    lines = [_EQUAL_TIME + "\n".join(time_row(*pair, runs, speeds) for pair in PAIRS)]
    harmonic, plain = (runs[arm] for arm in ("harmonic_unet_mask", "unet_mask"))
    if harmonic and plain:
        goal = 0.98 * min(run.best("val/mask/Dice") for run in (*plain, *harmonic))
        steps = Figure("step", lambda run: _reaches(run, "val/mask/Dice", goal), 0)
        first, second = (Values.read(steps, some) for some in (plain, harmonic))
        minutes = [
            values.median * speeds[arm] / 60
            for values, arm in ((first, "unet_mask"), (second, "harmonic_unet_mask"))
        ]
        lines.append(
            f"\nA Dice of {goal:.3f} is first seen at step {first} of the plain U-Net and at step "
            f"{second} of the harmonic one, which take {minutes[0]:.1f} and {minutes[1]:.1f} min."
        )
    return "\n".join(lines) + "\n"


def time_row(first: str, second: str, metric: str, runs: Runs, speeds: Mapping[str, float]) -> str:
    """A row of the table of comparisons at equal time."""
    arms = (first, second)
    names = "<br>".join(arms)
    ratio = f"{speeds[first] / speeds[second]:.2f}"
    if not all(runs[arm] for arm in arms):
        return _cells(names, metric, ratio, "no run has ended", "")
    ended = [runs[arm][0].result["steps"] for arm in arms]
    seconds = min(steps * speeds[arm] for steps, arm in zip(ended, arms, strict=True))
    found = []
    for limits in ([min(ended)] * 2, [seconds / speeds[arm] for arm in arms]):
        both = [
            Values.read(at_best(metric, metric, before=limit), runs[arm])
            for arm, limit in zip(arms, limits, strict=True)
        ]
        sign, numbers = decide(both[0], both[1])
        word = "not decided" if not sign else "higher" if sign > 0 else "lower"
        sides = [f"{values} after {limit:.0f}" for values, limit in zip(both, limits, strict=True)]
        found.append("<br>".join((*sides, f"{word}: {numbers}")))
    return _cells(names, metric, ratio, *found)


def draw(runs: Runs, path: Path) -> None:
    """Draw the validation metrics over the steps: the median of the seeds, and their range."""
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Picture((10, 5.6), layout="constrained")
        for axes, (title, (key, arms)) in zip(
            picture.subplots(2, 3).flat, CURVES.items(), strict=True
        ):
            for arm in arms:
                curves = [dict(run.curve(key)) for run in runs[arm]]
                if not curves:
                    continue
                steps = sorted(set.intersection(*map(set, curves)))
                values = np.array([[curve[step] for step in steps] for curve in curves])
                (line,) = axes.plot(steps, np.median(values, axis=0), label=arm, linewidth=1.2)
                low, high = values.min(axis=0), values.max(axis=0)
                axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
            axes.set_title(title)
            axes.set_xlabel("step")
            if axes.has_data():
                axes.legend(frameon=False, fontsize=6)
        picture.savefig(path, dpi=110)


def _link(system: System) -> str:
    return f"[{system.arm}](../configs/papers/{system.arm}.yaml)"


def _figures(system: System, runs: Sequence[Run]) -> list[tuple[Figure, Values]]:
    return [(figure, Values.read(figure, runs)) for figure in system.figures if runs]


def _ours(figures: Sequence[tuple[Figure, Values]]) -> str:
    return "<br>".join(f"{figure.name} {ours}" for figure, ours in figures) or "no run has ended"


def _both(claim: Claim, runs: Runs) -> tuple[Values, Values]:
    return (
        Values.read(claim.figure, runs[claim.first]),
        Values.read(claim.second_figure or claim.figure, runs[claim.second]),
    )


def _name(arm: str, figure: Figure, claim: Claim) -> str:
    # Two figures of one arm are told apart by their names.
    return figure.name if claim.first == claim.second else arm


def _budget(runs: Sequence[Run]) -> str:
    if not runs:
        return ""
    result = runs[0].result
    minutes = Values(tuple(run.result["seconds"] / 60 for run in runs), 0)
    epochs, device = result["epochs"], result["device"].upper()
    return f"{result['steps']} steps, {epochs} epochs, {minutes} min, {device}"


def _reaches(run: Run, key: str, goal: float) -> float:
    # Rows count steps from 0.
    return next(at + 1 for at, value in run.curve(key) if value >= goal)


def _cells(*values: object) -> str:
    return f"| {' | '.join(str(value) for value in values)} |"


def _arms(name: str) -> list[str]:
    """The names of a shipped study's arms."""
    path = find_config(name)
    return [arm.name for arm in Study.from_dict(read_config(path), path).arms]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/reproduction"))
    parser.add_argument("--speeds", type=Path, help="the file that systems.py has saved")
    parser.add_argument("--fashion", type=Path, help=f"the runs of {FASHION_STUDY}")
    parser.add_argument("--output", type=Path, default=Path("docs/reproduction.md"))
    options = parser.parse_args()
    arms = _arms(STUDY)
    runs = read_runs(options.runs, arms)
    picture = options.output.with_suffix(".png")
    draw(runs, picture)
    text = _HEAD.format(study=STUDY, picture=picture.name)
    text += "\n".join(row(system, runs[system.arm]) for system in SYSTEMS)
    text += "\n" + _CLAIMS + "\n".join(claim_row(claim, runs) for claim in CLAIMS) + "\n"
    if options.speeds is not None:
        speeds = json.loads(options.speeds.read_text(encoding="utf-8"))
        text += equal_time(runs, speeds)
    if options.fashion is not None:
        found = read_runs(options.fashion, _arms(FASHION_STUDY))
        text += _FASHION.format(study=FASHION_STUDY)
        rows = [fashion_row(one, found[one.arm]) for one in SYSTEMS if one.arm in found]
        text += "\n".join(rows) + "\n"
    options.output.write_text(text, encoding="utf-8")
    ended = sum(map(len, runs.values()))
    print(f"{options.output} and {picture}: {ended} runs of {len(arms)} arms.")


if __name__ == "__main__":
    main()
