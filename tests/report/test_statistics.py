"""Claims: they keep their level in null studies, and agree with plain formulas."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_ind

from lightning_pose.report.statistics import Scored, differences

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import null_studies

MANY = 100_000


def alike(*values: float) -> Scored:
    """Runs in which all people are alike, so that another sample of them changes nothing."""
    return Scored(np.array(values), np.tile(np.array(values)[:, None], (1, 500)), MANY)


def drawn(seed: int, runs: int = 5, mean: float = 0.6, spread: float = 0.01) -> Scored:
    return alike(*np.random.default_rng(seed).normal(mean, spread, runs))


def test_without_people_it_is_welchs_test() -> None:
    first, second = drawn(0, mean=0.605), drawn(1, runs=7, spread=0.02)
    (found,) = differences([(first, second)], [0.01])
    expected = ttest_ind(first.values, second.values, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.value == pytest.approx(first.values.mean() - second.values.mean())


def test_people_widen_the_interval_only_where_arms_differ_on_them() -> None:
    random = np.random.default_rng(0)
    one, other = drawn(0), drawn(1)
    easy = random.normal(0, 0.03, (1, 4000))
    # Samples of easier and of harder people change all runs alike.
    shared = [Scored(arm.values, arm.values[:, None] + easy, MANY) for arm in (one, other)]
    (alone,), (both,) = (differences([pair], [0.01]) for pair in ((one, other), tuple(shared)))
    assert both.high - both.low == pytest.approx(alone.high - alone.low, rel=0.01)
    # People on whom one arm is better than the other: its variance is added.
    own = random.normal(0, 0.03, (1, 4000))
    differs = Scored(one.values, one.values[:, None] + easy + own, MANY)
    (wide,) = differences([(differs, shared[1])], [0.01])
    seeds = sum(arm.values.var(ddof=1) / 5 for arm in (one, other))
    spread = np.sqrt(seeds + 0.03**2)
    # With so much more variance from many people, the quantile is nearly that of a normal.
    assert wide.high - wide.low == pytest.approx(2 * 1.97 * spread, rel=0.03)
    # What changes from run to run is in the seeds already.
    runs = random.normal(0, 0.005, (2, 5, 4000))
    noisy = [
        Scored(a.values, a.values[:, None] + run, MANY)
        for a, run in zip((one, other), runs, strict=True)
    ]
    (same,) = differences([tuple(noisy)], [0.01])
    assert same.high - same.low == pytest.approx(alone.high - alone.low, rel=0.03)


def test_few_people_are_uncertain() -> None:
    random = np.random.default_rng(0)
    one, other = drawn(0), drawn(1)
    own = random.normal(0, 0.03, (1, 500))
    for people in (3, 10, 50):
        differs = Scored(one.values, one.values[:, None] + own, people)
        (found,) = differences([(differs, other)], [0.01])
        # Welch and Satterthwaite, with the mean of n people as one more mean.
        parts = [(arm.values.var(ddof=1) / 5, 4) for arm in (one, other)]
        parts.append((own.var() * people / (people - 1), people - 1))
        variance = sum(part for part, _ in parts)
        freedom = variance**2 / sum(part**2 / count for part, count in parts)
        reach = student.isf(0.025, freedom) * np.sqrt(variance)
        assert found.high - found.low == pytest.approx(2 * reach, rel=1e-3)


def test_nothing_is_decided_where_a_resample_has_nobody() -> None:
    far, near = drawn(0, mean=0.9), drawn(1)
    missing = far.resampled.copy()
    missing[:, 3] = np.nan
    for arm in (Scored(far.values, missing, 8), Scored(far.values, far.resampled, 1)):
        for pair in ((arm, near), (near, arm)):
            (found,) = differences([pair], [0.01])
            assert found.verdict == "not decided"
            assert np.isnan([found.low, found.high, found.p]).all()


def test_people_that_vary_less_than_runs_add_nothing() -> None:
    random = np.random.default_rng(0)
    one, other = drawn(0), drawn(1)
    # What varies from run to run cancels in the mean of the runs.
    noise = random.normal(0, 0.02, (5, 500))
    noise -= noise.mean(axis=0)
    noisy = Scored(one.values, one.values[:, None] + noise, 100)
    (alone,), (found,) = (differences([(arm, other)], [0.01]) for arm in (one, noisy))
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))


def test_p_is_corrected_by_holms_method() -> None:
    base = drawn(9)
    pairs = [(drawn(n, mean=0.6 + mean), base) for n, mean in enumerate((0.02, 0.0, 0.012, 0.001))]
    p = np.array([ttest_ind(a.values, b.values, equal_var=False).pvalue for a, b in pairs])
    found = [one.p for one in differences(pairs, [0.01] * 4)]
    order = np.argsort(p)
    expected = np.empty(4)
    expected[order] = np.minimum(1, np.maximum.accumulate(p[order] * [4, 3, 2, 1]))
    assert found == pytest.approx(expected)
    # The rules for the highest and for the order are needed here.
    assert max(p * 2) > 1
    assert max(found) == 1


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=7), st.integers(0, 10_000))
def test_an_interval_leaves_out_0_exactly_where_holm_claims(means: list[float], seed: int) -> None:
    base = drawn(seed)
    pairs = [(drawn(seed + n, mean=0.6 + mean), base) for n, mean in enumerate(means, 1)]
    found = differences(pairs, [0.01] * len(pairs))
    p = [float(ttest_ind(a.values, b.values, equal_var=False).pvalue) for a, b in pairs]
    # Holm's method as he wrote it: compare the smallest with level / n, the next with ...
    claims, left = set(), sorted(range(len(p)), key=p.__getitem__)
    while left and p[left[0]] <= 0.05 / len(left):
        claims.add(left.pop(0))
    for n, one in enumerate(found):
        assert (one.verdict == "real") == (n in claims)
        assert (one.low > 0 or one.high < 0) == (n in claims)
        assert one.low <= one.value <= one.high
        assert (one.p <= 0.05) == (n in claims)


def test_fewer_than_five_seeds_decide_nothing() -> None:
    far, near = drawn(0, runs=5, mean=0.9), drawn(1, runs=4)
    for pair in ((far, near), (near, far)):
        (found,) = differences([pair], [0.01])
        assert found.verdict == "not decided"
        assert found.seeds == 4
        assert found.p < 0.001
    same = alike(0.5, 0.5, 0.5)
    assert differences([(same, same)], [0.01])[0].verdict == "not decided"
    (one,) = differences([(alike(0.9), near)], [0.01])
    assert one.verdict == "not decided"
    assert np.isnan([one.low, one.high, one.p]).all()
    # A comparison without an interval costs the others nothing.
    pair = (drawn(2, mean=0.61), drawn(3))
    (alone,) = differences([pair], [0.01])
    assert differences([(alike(0.9), near), pair], [0.01] * 2)[1] == alone


def test_noise_is_what_lies_within_the_margin() -> None:
    pair = (drawn(4, spread=0.002), drawn(5, spread=0.002))
    verdicts = [differences([pair], [margin])[0].verdict for margin in (0.01, 0.0001)]
    assert verdicts == ["noise", "not decided"]
    same = alike(*[0.5] * 5)
    (equal,) = differences([(same, same)], [0.01])
    assert (equal.verdict, equal.low, equal.high, equal.p) == ("noise", 0, 0, 1)
    (certain,) = differences([(alike(*[0.6] * 5), same)], [0.01])
    assert (certain.verdict, certain.p) == ("real", 0)


@pytest.mark.parametrize("interaction", [0.0, 0.9])
def test_null_studies_claim_little_where_simpler_tests_claim_much(interaction: float) -> None:
    errors = null_studies.synthetic(np.random.default_rng(0), people=150, joints=4)
    spread = 0.0 if interaction else 0.05
    found = null_studies.row(errors, 150, 4, 5, spread, interaction, resamples=60)
    # 0.05 is the level; 150 studies exceed 0.1 by chance in fewer than 1 of 100 cases.
    assert found["claims"] <= 0.1
    # Seeds make a difference that people do not show, and people one that seeds do not.
    assert found["seeds alone" if interaction else "people alone"] > 0.15
    # Five seeds are too few for the quantiles of a bootstrap.
    assert interaction or found["two levels"] > found["claims"]
