"""Write docs/reproduction.md and its picture from the runs of configs/studies/reproduction.yaml.

    python -m benchmarks.reproduction [--runs FOLDER] [--fashion FOLDER] [--speeds FILE]
        [--output docs/reproduction.md]

By default from what benchmarks/results holds: the runs that `benchmarks/keep_runs.py` has kept, and
the speeds that `benchmarks/systems.py --save` has measured. Runs that have not ended are left out,
and each figure says how many seeds it has. What the papers say is in benchmarks/papers.py and
benchmarks/claims.py.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.claims import CLAIMS, DEAD, PAIRS, Claim, PairedClaim, Says
from benchmarks.papers import SYSTEMS, System
from benchmarks.reproduction_curves import draw
from benchmarks.study_runs import Figure, Run, Runs, Values, decide, decide_pairs, read_runs
from lightning_pose.commands.configs import find_config, read_config
from lightning_pose.skeletons import LSP14
from lightning_pose.study import Study

STUDY, FASHION_STUDY = "studies/reproduction.yaml", "studies/fashion.yaml"
RESULTS = Path("benchmarks/results")
PEOPLE, FASHION_PEOPLE = 8500, 50
"""How many people train."""

_HEAD = """\
# What the systems of the papers reach here

`python -m benchmarks.reproduction` wrote this page from the runs of

```bash
lightning study --study {study} --data LSPExtendedDataModule --data.root FOLDER \\
  --data.splits null
```

on Leeds Sports Pose Extended: 8,500 photographs train and 750 validate. Joints were labelled by
crowd workers and masks by BlazePose, so that a Dice says how well BlazePose is imitated. The
papers' Dice is against Mask R-CNN, and on other photographs: a difference to it says little, and
only the order of the systems can be compared.

The networks are small, because CPU cores trained them, one each. The study's file has every setting
that differs from the config of the paper, and the config says what the paper leaves open. U-Nets,
ResNets and VGG16 see crops around the true joints, at validation, too. Budgets are counted in
optimiser steps. The minutes were measured on a machine with other work, and include pauses, so they
only say roughly what a run costs.

Our figures are those of best.ckpt, which is chosen on the validation people: by the lowest loss for
the U-Nets and ConvPose, as their papers do, and by PCK or PCKh for the others. A figure such as
`0.95 / 0.91 (0.90 to 0.92)` is the median over seeds on 750 training people, without augmentation
and dropout, and the median on the validation people with the lowest and the highest. PCKh is by the
length of the head segment, from the neck to the top of the head; MPII's head size is about 0.75
times that, which makes its PCKh the stricter one. The mean pose is that of the validation people in
the frame of the network's input: a network whose error is 1.00 times that of the mean pose has
learnt nothing of the person. A difference is our median minus the published value, on validation
images, where both are the same measure.

![Learning curves: medians over seeds, with their range as a band]({picture})

## Systems

| config | the paper's protocol | published | ours | difference | seeds | budget | likely reasons |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

_BELOW = """
`convpose_cascade.yaml` has no row: its paper describes the refinement, but reports nothing of it.

"""

_CLAIMS = """\
## Claims

A claim is decided if the medians differ by more than the larger of the two ranges over seeds, and
there are three seeds or more. Where both figures come from the same runs, that is the median of
their differences and the range of these. With three seeds, this rule finds a difference between two
equal systems in 6 to 9 % of comparisons (simulated with normal seeds), so that among {count} rows,
one or two may be wrong. Where a paper finds two systems alike, or one not better than another, no
clear difference does not contradict it, which is not proof: three seeds cannot tell a small
difference from none. A verdict holds for these validation people: 736 have a mask, 604 a head
segment (PCKh), and 530 a torso (PCK).

An all-zero map is the result of a network that has learnt nothing of the heatmap; a map is counted
as one if its squared error is more than {dead} times that of an all-zero map on the same images.
Coordinates are counted as the mean pose if their error is more than {dead} times that of the mean
pose. Claims about these limits must be true of every run. Logged training losses are of batches,
with dropout where the network has it. The error with shuffled images is relative to the error, so
that it is also lower where predictions are less accurate.

| claim | figure | first | second | seeds | here |
| --- | --- | --- | --- | --- | --- |
"""

_STEPS = """
## Errors along the sequence

Mean error per joint, in the order in which the LSTM predicts them and in units of the side of the
input; medians over seeds. The mean pose is that of the ground truth.

| step | joint | mean pose | {arms} | LSTM / regression |
| --- | --- | --- | {dashes} | --- |
"""

_EQUAL_TIME = """
## At equal time

Seconds per step were measured apart from these runs, with the threads that they had, without
loading data and without validation ([systems.md](../benchmarks/results/systems.md)). Figures are
those after as many steps, and after as much time, linear between two validations. "Higher" and
"lower" describe the first system, by the rule for claims. The paper's trainings of the harmonic and
of the plain U-Net took 30 h and 6.5 h, a ratio of 4.6.

| first and second | figure | time of a step, ratio | after as many steps | after as much time |
| --- | --- | --- | --- | --- |
"""

_NO_SPEEDS = """
## At equal time

The speeds of the systems are not measured yet.
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
    differences = [
        f"{figure.name} {ours.median - system.values[figure.name]:+.{figure.digits}f}"
        for figure, ours in _figures(system, runs)
        if figure.name in system.values
    ]
    return _cells(
        _link(system),
        system.protocol,
        system.published,
        _ours(system, runs),
        "<br>".join(differences) or "none",
        len(runs),
        _budget(runs, PEOPLE),
        system.reasons,
    )


def fashion_row(system: System, runs: Sequence[Run]) -> str:
    """A row of the table of systems with 25 joints."""
    return _cells(_link(system), _ours(system, runs), len(runs), _budget(runs, FASHION_PEOPLE))


def claim_row(claim: Claim | PairedClaim, runs: Runs) -> str:
    """A row of the table of claims."""
    first, second = values(claim, runs)
    if isinstance(claim, PairedClaim):
        (name, other), figure = claim.names, claim.figure
    else:
        name, other, figure = claim.first, claim.second, claim.figure.name
    return _cells(
        claim.text,
        figure,
        f"{name}<br>{first}",
        f"{other}<br>{second}",
        f"{len(first.values)}, {len(second.values)}",
        verdict(claim, runs),
    )


def values(claim: Claim | PairedClaim, runs: Runs) -> tuple[Values, Values]:
    """The two figures of a claim."""
    if isinstance(claim, PairedClaim):
        others = {run.folder.name: run for run in runs[claim.arms[1]]}
        both = [
            claim.of(run, others[run.folder.name])
            for run in runs[claim.arms[0]]
            if run.folder.name in others
        ]
        first, second = (
            Values(tuple(pair[number] for pair in both), claim.digits) for number in (0, 1)
        )
        return first, second
    return (
        Values.read(claim.figure, runs[claim.first]),
        Values.read(claim.second_figure or claim.figure, runs[claim.second]),
    )


def verdict(claim: Claim | PairedClaim, runs: Runs) -> str:
    """Whether a claim held, did not, or is not decided."""
    first, second = values(claim, runs)
    paired = isinstance(claim, PairedClaim)
    sign, numbers = (decide_pairs if paired else decide)(first, second)
    if sign is None:
        return f"not decided: {numbers}"
    if isinstance(claim, Claim) and claim.limit is not None:
        return _by_limit(claim.limit, first, second)
    return f"{_word(claim.says, sign)}: {numbers}"


def _word(says: Says, sign: int) -> str:
    """The verdict on a claim when the first figure is higher (1), lower (-1), or neither (0)."""
    match says, sign:
        case "alike" | "not higher", 0:
            return "not contradicted, without a clear difference"
        case _, 0:
            return "not decided"
        case "alike", _:
            return "the opposite"
    return "held" if (sign > 0) == (says == "higher") else "the opposite"


def _by_limit(limit: float, first: Values, second: Values) -> str:
    """The verdict on a claim that the first is above a limit, and the second below it."""
    if min(first.values) > limit > max(second.values):
        return "held with every seed"
    if max(first.values) < limit and max(second.values) < limit:
        return "the opposite: both are below the limit, with every seed"
    return "not decided: the seeds differ, or the second is not below the limit"


def sequence(runs: Runs) -> str:
    """The table of errors by the step of the LSTM."""
    arms = ("vgg16_regression", "vgg16_lstm", "vgg16_attention_lstm")
    if not all(runs[arm] for arm in arms):
        return ""
    errors = {arm: np.median([run.poses.error for run in runs[arm]], axis=0) for arm in arms}
    constant = runs[arms[0]][0].poses.constant
    lines = [
        _cells(
            step + 1,
            joint.replace("_", " "),
            f"{constant[step]:.3f}",
            *(f"{errors[arm][step]:.3f}" for arm in arms),
            f"{errors['vgg16_lstm'][step] / errors['vgg16_regression'][step]:.2f}",
        )
        for step, joint in enumerate(LSP14.names)
    ]
    head = _STEPS.format(arms=" | ".join(arms), dashes=" | ".join(["---"] * len(arms)))
    return head + "\n".join(lines) + "\n"


def equal_time(runs: Runs, speeds: Mapping[str, float]) -> str:
    """Pairs of arms after as many steps, and after as much time, by seconds per step."""
    lines = [_EQUAL_TIME + "\n".join(time_row(*pair, runs, speeds) for pair in PAIRS)]
    arms = ("unet_mask", "harmonic_unet_mask")
    if all(runs[arm] for arm in arms):
        # A goal that every run reaches.
        goal = 0.98 * min(run.best("val/mask/Dice") for arm in arms for run in runs[arm])
        steps = Figure("step", lambda run: _reaches(run, "val/mask/Dice", goal), 0)
        plain, harmonic = (Values.read(steps, runs[arm]) for arm in arms)
        minutes = [
            reached.median * speeds[arm] / 60
            for reached, arm in zip((plain, harmonic), arms, strict=True)
        ]
        lines.append(
            f"\nA Dice of {goal:.3f}, which is 98 % of the best of the worst run, is first seen at "
            f"step {plain} of the plain U-Net and at step {harmonic} of the harmonic one: after "
            f"{_epochs(runs[arms[0]][0], plain.median, PEOPLE):.1f} and "
            f"{_epochs(runs[arms[1]][0], harmonic.median, PEOPLE):.1f} epochs, or "
            f"{minutes[0]:.1f} and {minutes[1]:.1f} min."
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
            Values(tuple(run.at(f"val/{metric}", limit) for run in runs[arm]), 3)
            for arm, limit in zip(arms, limits, strict=True)
        ]
        sign, numbers = decide(both[0], both[1])
        word = "not decided" if not sign else "higher" if sign > 0 else "lower"
        sides = [f"{reached} after {at:.0f}" for reached, at in zip(both, limits, strict=True)]
        found.append("<br>".join((*sides, f"{word}: {numbers}")))
    return _cells(names, metric, ratio, *found)


def _link(system: System) -> str:
    return f"[{system.arm}](../configs/papers/{system.config or system.arm}.yaml)"


def _figures(system: System, runs: Sequence[Run]) -> list[tuple[Figure, Values]]:
    return [(figure, Values.read(figure, runs)) for figure in system.figures if runs]


def _ours(system: System, runs: Sequence[Run]) -> str:
    """The figures of a system, those on training people first where they were measured."""
    cells = []
    for figure, ours in _figures(system, runs):
        scored = [run.trained["best"] for run in runs if run.trained]
        trained = [metrics[figure.key] for metrics in scored if figure.key is not None]
        before = f"{np.median(trained):.{figure.digits}f} / " if trained else ""
        cells.append(f"{figure.name} {before}{ours}")
    return "<br>".join(cells) or "no run has ended"


def _budget(runs: Sequence[Run], people: int) -> str:
    if not runs:
        return ""
    steps = runs[0].result["steps"]
    minutes = Values(tuple(run.result["seconds"] / 60 for run in runs), 0)
    epochs = f"{_epochs(runs[0], steps, people):.1f} epochs"
    return f"{steps} steps, {epochs}, {minutes} min, {runs[0].result['device'].upper()}"


def _epochs(run: Run, steps: float, people: int) -> float:
    return steps * run.config["data"]["init_args"]["batch_size"] / people


def _reaches(run: Run, key: str, goal: float) -> float:
    return next(at for at, value in run.curve(key) if value >= goal)


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _arms(name: str) -> list[str]:
    """The names of a shipped study's arms."""
    path = find_config(name)
    return [arm.name for arm in Study.from_dict(read_config(path), path).arms]


def page(runs: Runs, fashion: Runs, speeds: Mapping[str, float] | None, picture: str) -> str:
    """The page in Markdown.

    Args:
        runs: The runs of the study by arm.
        fashion: The runs of the study with 25 joints.
        speeds: Seconds per step by arm, if they are measured.
        picture: The name of the picture beside the page.
    """
    text = _HEAD.format(study=STUDY, picture=picture)
    text += "\n".join(row(system, runs[system.arm]) for system in SYSTEMS) + "\n" + _BELOW
    text += _CLAIMS.format(count=len(CLAIMS), dead=DEAD)
    text += "\n".join(claim_row(claim, runs) for claim in CLAIMS) + "\n"
    text += sequence(runs)
    text += _NO_SPEEDS if speeds is None else equal_time(runs, speeds)
    text += _FASHION.format(study=FASHION_STUDY)
    rows = [fashion_row(one, fashion[one.arm]) for one in SYSTEMS if one.arm in fashion]
    return text + "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=RESULTS / "reproduction")
    parser.add_argument("--fashion", type=Path, default=RESULTS / "fashion")
    parser.add_argument("--speeds", type=Path, default=RESULTS / "systems.json")
    parser.add_argument("--output", type=Path, default=Path("docs/reproduction.md"))
    options = parser.parse_args()
    runs, fashion = (
        read_runs(folder, _arms(study))
        for folder, study in ((options.runs, STUDY), (options.fashion, FASHION_STUDY))
    )
    speeds = None
    if options.speeds.is_file():
        speeds = json.loads(options.speeds.read_text(encoding="utf-8"))
    picture = options.output.with_suffix(".png")
    draw(runs, speeds, picture)
    options.output.write_text(page(runs, fashion, speeds, picture.name), encoding="utf-8")
    ended = sum(map(len, runs.values()))
    print(f"{options.output} and {picture}: {ended} runs of {len(runs)} arms.")


if __name__ == "__main__":
    main()
