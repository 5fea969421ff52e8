"""How often a comparison claims a difference where there is none, and how often it finds one.

    python benchmarks/null_studies.py [PREDICTIONS ...] [--head heatmap] [--studies 1000]

Simulates studies whose arms are all the same, and counts those in which `lightning compare` would
claim any difference (PCKh@0.5, corrected for all comparisons of the study). The people of each
study are drawn with replacement from those of predictions.npz. Each run changes the real errors by
random factors, per person and per joint, and its seed by one factor for everybody, whose size gives
the standard deviation of PCKh over seeds in the first column. With the files of two runs on the
same people, the size of the random factors is that by which these differ; without a file, the
errors are synthetic.

The columns: false claims of the method; of a paired test over people alone; of Welch's test over
seeds alone; of a percentile bootstrap on two levels, seeds and then people; and in how many
comparisons the method calls a true difference of 0.03 real, and a difference of 0 noise. The last
rows repeat this with arms that differ on each person, but not on average.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from lightning_pose.report.shares import Shares, resampled
from lightning_pose.report.statistics import Difference, Scored, differences

THRESHOLD = 0.5
MARGIN = 0.01
LEVEL = 0.05
DIFFERENCE = 0.03
COLUMNS = (
    "claims",
    "people alone",
    "seeds alone",
    "two levels",
    f"{DIFFERENCE} found",
    "0 is noise",
)


@dataclass(frozen=True)
class Errors:
    """What runs are made of.

    Attributes:
        logs: The logarithm of the error over the size that it is divided by, NaN where a joint
            does not count.
        spread: The standard deviation of its random change from run to run.
    """

    logs: Float[np.ndarray, "N K"]
    spread: float

    def pckh(self, shift: float) -> float:
        """The expected PCKh of runs whose errors are smaller by a factor, as a logarithm."""
        right = norm.cdf((np.log(THRESHOLD) - self.logs + shift) / self.spread)
        return float(np.nanmean(np.nanmean(right, axis=0)))

    def shift(self, difference: float) -> float:
        """The factor, as a logarithm, that raises the expected PCKh by a difference."""
        base = self.pckh(0)
        return float(brentq(lambda shift: self.pckh(shift) - base - difference, -9, 9))


def read(paths: Sequence[Path], head: str) -> Errors:
    """The errors of one or more runs on the same people."""
    found = []
    for path in paths:
        with np.load(path) as file:
            sizes = np.where(file["head_size"] > 0, file["head_size"], np.nan)
            found.append(np.log(file[f"{head}/errors"] / sizes[:, None] + 1e-6))
    spread = 0.6
    if len(found) > 1:
        spread = float(np.nanstd(found[0] - found[1]) / np.sqrt(2))
    return Errors(found[0], spread)


def synthetic(random: np.random.Generator, people: int = 750, joints: int = 14) -> Errors:
    """Errors of people who are more or less difficult."""
    difficulty = random.normal(-0.6, 0.8, (people, 1))
    logs = difficulty + random.normal(0, 0.7, (people, joints))
    logs[random.random((people, joints)) < 0.12] = np.nan
    return Errors(logs, 0.6)


def study(
    errors: Errors,
    random: np.random.Generator,
    arms: int,
    seeds: int,
    seed_shift: float,
    true_shift: float = 0.0,
    interaction: float = 0.0,
) -> list[list[Shares]]:
    """The runs of every arm of one study.

    Args:
        errors: What runs are made of.
        random: Where chance comes from.
        arms: How many arms.
        seeds: How many runs of each.
        seed_shift: The standard deviation of a run's factor, as a logarithm.
        true_shift: The factor of all arms but the first, as a logarithm.
        interaction: The share of the random change that the runs of an arm have in common.
    """
    people = random.integers(len(errors.logs), size=len(errors.logs))
    logs = errors.logs[people]
    counts = np.isfinite(logs).astype(np.float32)
    # A joint that does not count is never right.
    far = np.nan_to_num(logs - np.log(THRESHOLD), nan=np.inf).astype(np.float32)
    # Half of the change is the person's, half the joint's.
    own = np.float32(np.sqrt(1 - interaction**2))
    half = np.float32(errors.spread / np.sqrt(2))
    found = []
    for arm in range(arms):
        of_arm = _noise(random, logs.shape)
        runs = []
        for _ in range(seeds):
            change = half * (np.float32(interaction) * of_arm + own * _noise(random, logs.shape))
            shift = seed_shift * random.normal() + (true_shift if arm else 0.0)
            runs.append(Shares((far + change <= shift).astype(np.float32), counts))
        found.append(runs)
    return found


def _noise(random: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "N K"]:
    one, each = (random.standard_normal(size, np.float32) for size in ((shape[0], 1), shape))
    return one + each


def score(arms: Sequence[Sequence[Shares]], resamples: int) -> list[Scored]:
    """The metric of every run of each arm, over all people and over resamples of them."""
    drawn = resampled([run for runs in arms for run in runs], resamples)
    seeds = len(arms[0])
    return [
        Scored(
            np.array([run.value for run in runs]),
            drawn[n * seeds : (n + 1) * seeds],
            runs[0].people,
        )
        for n, runs in enumerate(arms)
    ]


def compare(arms: Sequence[Scored]) -> list[Difference]:
    """What `lightning compare` says about every arm and the first."""
    pairs = [(one, arms[0]) for one in arms[1:]]
    return differences(pairs, [MARGIN] * len(pairs), LEVEL)


def two_levels(arms: Sequence[Scored], random: np.random.Generator, draws: int = 4000) -> bool:
    """Whether a percentile bootstrap of seeds, then people, claims a difference (Bonferroni)."""
    people = random.integers(arms[0].resampled.shape[1], size=draws)
    means = []
    for arm in arms:
        seeds = random.integers(len(arm.values), size=(len(arm.values), draws))
        means.append(arm.resampled[seeds, people].mean(axis=0))
    tail = LEVEL / 2 / (len(arms) - 1)
    ends = [np.quantile(mean - means[0], (tail, 1 - tail)) for mean in means[1:]]
    return any(low > 0 or high < 0 for low, high in ends)


def people_alone(arms: Sequence[Sequence[Shares]]) -> bool:
    """Whether a paired test over people claims a difference of means over seeds (Bonferroni)."""
    means = [np.mean([run.sums.sum(axis=1) for run in runs], axis=0) for runs in arms]
    people = len(means[0])
    found = []
    for mean in means[1:]:
        change = mean - means[0]
        found.append(abs(change.mean()) / (change.std(ddof=1) / np.sqrt(people)))
    return bool(max(found) > student.isf(LEVEL / 2 / len(found), people - 1))


def seeds_alone(arms: Sequence[Scored]) -> bool:
    """Whether Welch's test over seeds claims a difference."""
    found = compare(
        [Scored(arm.values, np.zeros((len(arm.values), 1)), arm.people) for arm in arms]
    )
    return any(one.verdict == "real" for one in found)


def row(
    errors: Errors,
    studies: int,
    arms: int,
    seeds: int,
    seed_spread: float,
    interaction: float = 0.0,
    resamples: int = 200,
) -> dict[str, float]:
    """The shares of studies with a claim, and of comparisons with a verdict."""
    # The bootstrap has its own, so that the studies are the same with and without it.
    random, of_bootstrap = np.random.default_rng(0), np.random.default_rng(1)
    # PCKh over the factor is straight for the small changes between seeds.
    seed_shift, true_shift = 100 * errors.shift(0.01) * seed_spread, errors.shift(DIFFERENCE)
    counts = dict.fromkeys(COLUMNS, 0.0)
    for _ in range(studies):
        null = study(errors, random, arms, seeds, seed_shift, 0.0, interaction)
        scored = score(null, resamples)
        found = compare(scored)
        counts["claims"] += any(one.verdict == "real" for one in found) / studies
        counts["0 is noise"] += sum(one.verdict == "noise" for one in found) / len(found) / studies
        counts["people alone"] += people_alone(null) / studies
        counts["seeds alone"] += seeds_alone(scored) / studies
        counts["two levels"] += two_levels(scored, of_bootstrap) / studies
        true = study(errors, random, arms, seeds, seed_shift, true_shift, interaction)
        found = compare(score(true, resamples))
        counts[f"{DIFFERENCE} found"] += (
            sum(one.verdict == "real" for one in found) / len(found) / studies
        )
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "predictions", nargs="*", type=Path, help="predictions.npz of one or two runs"
    )
    parser.add_argument("--head", default="heatmap", help="the head whose errors are taken")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--arms", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.predictions:
        errors = read(options.predictions, options.head)
    else:
        errors = synthetic(np.random.default_rng(0))
    shape = errors.logs.shape
    print(
        f"{shape[0]} people, {shape[1]} joints, PCKh {errors.pckh(0):.3f}, change from run to run "
        f"{errors.spread:.2f}; {options.studies} studies of {options.arms} arms x {options.seeds} "
        "seeds"
    )
    print(" ".join(f"{name:>12}" for name in ("sd of seeds", *COLUMNS, "seconds")))
    for interaction in (0.0, 0.7):
        if interaction:
            print("arms differ on each person:")
        for spread in (0.0, 0.005, 0.01, 0.02):
            start = time.perf_counter()
            found = row(errors, options.studies, options.arms, options.seeds, spread, interaction)
            cells = " ".join(f"{100 * found[name]:10.1f} %" for name in COLUMNS)
            print(f"{spread:12} {cells} {time.perf_counter() - start:12.0f}", flush=True)


if __name__ == "__main__":
    main()
