"""Write docs/reproduction.md and its picture from the runs of configs/studies/reproduction.yaml.

    python -m benchmarks.reproduction [--runs FOLDER] [--fashion FOLDER] [--speeds FILE]
        [--output docs/reproduction.md]

By default from what benchmarks/results holds: the runs that `benchmarks/keep_runs.py` has kept, and
the speeds that `benchmarks/systems.py --save` has measured. Runs that have not ended are left out,
and each figure says how many seeds it has. What the papers say is in benchmarks/papers.py and
benchmarks/claims.py, and the rule for a verdict in benchmarks/verdicts.py.
"""

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.claims import CLAIMS, CONSTANT_MAP, GOAL, MEAN_MAP, PAIRS, Claim, PairedClaim
from benchmarks.papers import DEAD, DICE, GROUPS, SYSTEMS, System
from benchmarks.reproduction_curves import draw
from benchmarks.study_runs import PEOPLE, Figure, Run, Runs, Values, decide, read_runs
from benchmarks.verdicts import values, verdict
from lightning_pose.commands.configs import find_config, read_config
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.skeletons import LSP14
from lightning_pose.study import Study

STUDY, FASHION_STUDY = "studies/reproduction.yaml", "studies/fashion.yaml"
RESULTS = Path("benchmarks/results")
FASHION_PEOPLE = 50
"""How many people train in the study with 25 joints."""

_HEAD = """\
# What the systems of the papers reach here

The systems of the five papers were trained on Leeds Sports Pose Extended: 8,500 photographs train
and 750 validate. Joints were labelled by crowd workers and masks by BlazePose, so that a Dice says
how well BlazePose is imitated. The published Dice is against masks of Mask R-CNN and on other
photographs, so that only the order of the systems can be compared with it. What each system is, and
its picture, is in [systems.md](systems.md).

{summary}

These commands train, score 750 training people, keep the small files of the runs, and write this
page from them:

```bash
lightning study --study {study} --data LSPExtendedDataModule --data.root FOLDER \\
  --data.splits null
python -m benchmarks.training_people checkpoints/reproduction --data.val "[1, 750]" \\
  --data.train "[751, 8500]"
python -m benchmarks.keep_runs checkpoints/reproduction benchmarks/results/reproduction
python -m benchmarks.reproduction
```

The networks are small and their trainings short, because CPU cores trained them, one each. The
study's file has every setting that differs from the config of the paper, and the config says what
the paper leaves open. U-Nets, ResNets and VGG16 see crops around the true joints, also in
validation.

{minutes}

Our figures are those of the best checkpoint, which is chosen on the validation people: by the
lowest loss for the U-Nets (as their paper does) and ConvPose, and by PCK or PCKh for the others. A
figure such as `0.95 / 0.91 (0.90 to 0.92)` is the median over seeds on 750 training people, without
augmentation and dropout, and the median on the validation people with the lowest and the highest.
Where it says so, fewer seeds were scored on training people, because the others' checkpoints were
not kept. These 750 are the first photographs, and a little harder: the mean pose of all training
people has 3 % more squared error on them than on the validation people.

PCKh is by the length of the head segment, from the neck to the top of the head; MPII's head size is
about 0.75 times that, which makes its PCKh the stricter one. PCK is by the distance from the right
shoulder to the left hip. "Micro" means that every joint of every person counts alike; else each
kind of joint does. The mean pose is that of the validation people in the frame of the network's
input. To compare with it, the error of each joint is divided by that of the mean pose, and the
ratios are averaged: a coordinate regressor at 1.00 has learnt nothing of the person
([mean_pose.py](../benchmarks/mean_pose.py)).

A difference is our median minus the published value, on validation images, where both have the same
name and unit.

![Learning curves: medians over seeds, with their range as a band]({picture})

In the picture, a training loss is the mean of the last five batches logged, and the squared error
of coordinates is that of an input from -1 to 1. One VGG16 regressor (seed 2) gets worse at the end:
its validation loss is lowest after 3,000 of 4,000 steps.

## Systems

| config | the paper's protocol | published | ours | difference | seeds | budget | likely reasons |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

_BELOW = """
`convpose_cascade.yaml` has no row: its paper describes the refinement, but reports nothing of it.

"""

_QUIET = """\
Budgets are counted in optimiser steps. Minutes are those of one core: the number of steps times the
seconds per step, which were measured separately. They do not include validation, nor the loading of
data."""

_BUSY = """\
Budgets are counted in optimiser steps. The minutes were measured on a machine with other work, and
include pauses, so they only say roughly what a run costs."""

_CLAIMS = """\
## Claims

A claim is decided if the medians differ by more than the larger of the two ranges over seeds, and
there are three seeds or more. Where both figures come from the same runs, that is the median of
their differences and the range of these. With three seeds, this rule finds a difference between two
equal systems in 6 to 9 % of comparisons (simulated with normal seeds): in one or two of 20, if all
were equal. It sees a difference as large as the standard deviation over seeds in 18 % of
comparisons, one of twice that in 46 %, and one of three times that in 75 %. Where a paper finds two
systems alike, or one not better than another, a claim is compatible with no clear difference, which
is not proof. No paper makes the claims that begin with "{ours}".

A verdict holds for these widths and budgets, and most curves still rise at the end. It also holds
for these validation people: 736 have a mask, 604 a head segment (PCKh), and 530 a torso (PCK). The
rule leaves out that other people would give other figures: in a bootstrap over these, the
difference between two networks has a standard error of 0.006 in PCK or PCKh, and of 0.002 in Dice.

A heatmap has learnt something of the person if its squared error is lower than that of the mean of
all validation maps, which is {mean_map:.3f} times that of an all-zero map; its pixels have not all
gone to zero, or to any constant, if it is lower than {constant_map:.3f} times. Coordinates are
counted as the mean pose if their error is more than {dead} times that of the mean pose; a claim
about what networks learn is not decided if all of them are that bad. Claims about these limits must
be true of every run. Logged training losses are of batches, with dropout where the network has it.

The spread of predictions is their root mean squared distance from their own mean, divided by that
of the truth; their distance to the mean pose is the mean distance from the mean of the truth,
divided by that of the truth. With shuffled images, each person's prediction is compared with the
joints of another person. That error is relative to the error with the right images, so that it is
also lower where predictions are less accurate.

| claim | figure | first | second | seeds | here |
| --- | --- | --- | --- | --- | --- |
"""

_OURS = "(Ours)"
"""How a claim begins that no paper makes."""

_PARTS = {
    "head": ("head_top", "neck"),
    **{name: (name,) for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")},
}
"""MPII's groups of joints, and ours in them."""

_GROUPS = """
## PCKh by joint

PCKh@0.5 at the best checkpoint. The paper's is by MPII's head size, which is about 0.75 times ours,
so that only the order of the joints can be compared. Our "head" is the mean of the neck and the top
of the head.

| joint | {arms} |
| --- | {dashes} |
"""

_STEPS = """
## Errors along the sequence

Mean error per joint, in the order in which the LSTM predicts them and in units of the side of the
input; medians over seeds. The mean pose is that of the ground truth. Every joint has its place in
the order, so that what is due to the place cannot be told from what is due to the joint.

| step | joint | mean pose | {arms} | LSTM / regression |
| --- | --- | --- | {dashes} | --- |
"""

_EQUAL_TIME = """
## At equal time

Seconds per step were measured apart from these runs, with the threads that they had, without
loading data and without validation ([systems.md](../benchmarks/results/systems.md)). Both systems
are compared after the same number of steps, and after the same time. Figures between two
validations are interpolated linearly, and are not those of the best checkpoint. "Higher" and
"lower" describe the first system, by the rule for claims. Ratios of times may be off by a few per
cent.

| systems | figure | ratio of step times | after equal steps | after equal time |
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
masks, and BlazePose labelled the joints. The Harmonic U-Net predicts no joints, and has no row.
Minutes are those of the whole run, on one of two cores, while the other trained another network.

```bash
lightning study --study {study} --data.root FOLDER
```

| config | published | ours | seeds | budget |
| --- | --- | --- | --- | --- |
"""


def row(system: System, runs: Sequence[Run], seconds: float | None = None) -> str:
    """A row of the table of systems, with the seconds per step if they were measured."""
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
        _budget(runs, PEOPLE, seconds),
        system.reasons,
    )


def fashion_row(system: System, runs: Sequence[Run]) -> str:
    """A row of the table of systems with 25 joints."""
    budget = _budget(runs, FASHION_PEOPLE)
    return _cells(_link(system), system.published, _ours(system, runs), len(runs), budget)


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


def summary(runs: Runs) -> str:
    """How many of the papers' claims held."""
    verdicts = [verdict(claim, runs) for claim in CLAIMS if not claim.text.startswith(_OURS)]
    held, opposite, possible, open_ = (
        sum(one.startswith(word) for one in verdicts)
        for word in ("held", "contradicted", "compatible", "not decided")
    )
    return textwrap.fill(
        f"Of {len(verdicts)} tests of the papers' [claims](#claims), {held} held here, {opposite} "
        f"were contradicted, {possible} are compatible with what was found (that two systems are "
        f"alike, or that one is not better), and {open_} are not decided.",
        100,
    )


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
    """Pairs of arms after equal steps and after equal time, by seconds per step."""
    lines = [_EQUAL_TIME + "\n".join(time_row(*pair, runs, speeds) for pair in PAIRS)]
    arms = ("harmonic_unet_mask", "unet_mask")
    if all(runs[arm] for arm in arms):
        ratio = speeds[arms[0]] / speeds[arms[1]]
        held = "held" if ratio > 1 else "did not hold"
        harmonic, plain = (
            Values(tuple(run.steps_to(DICE.key, GOAL) * speeds[arm] / 60 for run in runs[arm]), 1)
            for arm in arms
        )
        text = (
            f"The claim that the Harmonic U-Net is slower {held}: a step takes {ratio:.1f} times "
            "as long, and the paper's trainings took 30 h and 6.5 h, a ratio of 4.6. To a Dice of "
            f"{GOAL}, it trains for {harmonic} minutes, and the plain one for {plain}."
        )
        lines.append("\n" + textwrap.fill(text, 100))
    return "\n".join(lines) + "\n"


def time_row(
    first: str, second: str, figure: Figure, runs: Runs, speeds: Mapping[str, float]
) -> str:
    """A row of the table of comparisons at equal time."""
    arms = (first, second)
    names = "<br>".join(arms)
    ratio = f"{speeds[first] / speeds[second]:.2f}"
    if not all(runs[arm] for arm in arms):
        return _cells(names, figure.name, ratio, "no run has ended", "")
    ended = [runs[arm][0].result["steps"] for arm in arms]
    seconds = min(steps * speeds[arm] for steps, arm in zip(ended, arms, strict=True))
    found = []
    for limits in ([min(ended)] * 2, [seconds / speeds[arm] for arm in arms]):
        both = [
            Values(tuple(run.at(figure.key, limit) for run in runs[arm]), figure.digits)
            for arm, limit in zip(arms, limits, strict=True)
        ]
        sign, numbers = decide(both[0], both[1])
        word = "not decided" if not sign else "higher" if sign > 0 else "lower"
        sides = [f"{reached} after {at:.0f}" for reached, at in zip(both, limits, strict=True)]
        found.append("<br>".join((*sides, f"{word}: {numbers}")))
    return _cells(names, figure.name, ratio, *found)


def groups(runs: Runs) -> str:
    """The table of PCKh by joint, beside what the paper reports."""
    arms = [system.arm for system in SYSTEMS if system.arm in GROUPS]
    if not all(runs[arm] for arm in arms):
        return ""
    lines = [
        _cells(
            name,
            *(
                text
                for arm in arms
                for text in (
                    f"{GROUPS[arm][name]:.3f}" if name in GROUPS[arm] else "none",
                    Values(tuple(_group(run, parts) for run in runs[arm]), 3),
                )
            ),
        )
        for name, parts in _PARTS.items()
    ]
    names = " | ".join(f"{arm}, published | ours" for arm in arms)
    head = _GROUPS.format(arms=names, dashes=" | ".join(["---"] * 2 * len(arms)))
    return head + "\n".join(lines) + "\n"


def _group(run: Run, parts: Sequence[str]) -> float:
    """The mean PCKh of some kinds of joints at the best checkpoint."""
    return float(np.mean([run.best(f"val/coordinates/PCKh/{part}") for part in parts]))


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
        before = f"{np.median(trained):.{figure.digits}f}" if trained else ""
        if 0 < len(trained) < len(runs):
            before += " (1 seed)" if len(trained) == 1 else f" ({len(trained)} seeds)"
        cells.append(f"{figure.name} {before}{' / ' if before else ''}{ours}")
    return "<br>".join(cells) or "no run has ended"


def _budget(runs: Sequence[Run], people: int, seconds: float | None = None) -> str:
    if not runs:
        return ""
    steps = runs[0].result["steps"]
    if seconds is None:
        minutes = str(Values(tuple(run.result["seconds"] / 60 for run in runs), 0))
    else:
        minutes = f"{steps * seconds / 60:.0f}"
    epochs = f"{runs[0].epochs(steps, people):.1f} epochs"
    size = f"{runs[0].result['parameters'] / 1e6:.2f} million parameters"
    return f"{size}, {steps} steps, {epochs}, {minutes} min, {runs[0].result['device'].upper()}"


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
    seconds = speeds or {}
    minutes = _BUSY if speeds is None else _QUIET
    text = _HEAD.format(study=STUDY, picture=picture, minutes=minutes, summary=summary(runs))
    rows = [row(system, runs[system.arm], seconds.get(system.arm)) for system in SYSTEMS]
    text += "\n".join(rows) + "\n" + _BELOW
    limits = {"dead": DEAD, "mean_map": MEAN_MAP, "constant_map": CONSTANT_MAP}
    text += _CLAIMS.format(**limits, ours=_OURS)
    text += "\n".join(claim_row(claim, runs) for claim in CLAIMS) + "\n"
    text += groups(runs) + sequence(runs)
    text += _NO_SPEEDS if speeds is None else equal_time(runs, speeds)
    text += _FASHION.format(study=FASHION_STUDY)
    rows = [fashion_row(one, fashion[one.arm]) for one in SYSTEMS if one.arm in fashion]
    return text + "\n".join(rows) + "\n"


def read_speeds(path: Path | None) -> dict[str, float] | None:
    """Seconds per step by arm, from a file of systems.py; None if there are none yet.

    Args:
        path: The file; None for the one in the results, if it is there.

    Raises:
        ConfigError: There is no such file.
        DataError: It lacks an arm of the study.
    """
    chosen = path or RESULTS / "systems.json"
    if not chosen.is_file():
        if path is None:
            return None
        raise ConfigError(f"Expected speeds at {path}, found no such file; correct --speeds.")
    speeds: dict[str, float] = json.loads(chosen.read_text(encoding="utf-8"))
    if missing := [arm for arm in _arms(STUDY) if arm not in speeds]:
        raise DataError(
            f"Expected the seconds per step of each arm in {chosen}, found none of {missing[0]}; "
            "run benchmarks/systems.py with --save again."
        )
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=RESULTS / "reproduction")
    parser.add_argument("--fashion", type=Path, default=RESULTS / "fashion")
    parser.add_argument("--speeds", type=Path, help="default: systems.json in the results")
    parser.add_argument("--output", type=Path, default=Path("docs/reproduction.md"))
    options = parser.parse_args()
    runs, fashion = (
        read_runs(folder, _arms(study))
        for folder, study in ((options.runs, STUDY), (options.fashion, FASHION_STUDY))
    )
    if not any(runs.values()):
        raise DataError(
            f"Expected runs that have ended in {options.runs}, found none; give the folder of the "
            "study as --runs."
        )
    speeds = read_speeds(options.speeds)
    picture = options.output.with_suffix(".png")
    draw(runs, speeds, picture)
    options.output.write_text(page(runs, fashion, speeds, picture.name), encoding="utf-8")
    ended = sum(map(len, runs.values()))
    print(f"{options.output} and {picture}: {ended} runs of {len(runs)} arms.")


if __name__ == "__main__":
    main()
