"""Arms against the baseline: which metrics are compared, and in which words."""

from dataclasses import replace

import numpy as np
import pytest

from lightning_pose.errors import ConfigError
from lightning_pose.report.comparison import ArmRuns, Compared, compare, sentence
from lightning_pose.report.measure import Measure
from lightning_pose.report.overview import spread
from lightning_pose.report.shares import Shares
from lightning_pose.report.statistics import Difference
from tests.report.runs import arm, finished

SEEDS = np.linspace(-0.004, 0.004, 5)


def arms(*means: float, metric: str = "joints/PCKh", **measure: object) -> list[ArmRuns]:
    return [
        arm(name, metric, list(mean + SEEDS), **measure)
        for name, mean in zip("abc", means, strict=False)
    ]


def said(compared) -> list[str]:
    return [sentence(one, compared.baseline) for one in compared.found]


def test_every_arm_is_compared_with_the_first_or_the_baseline() -> None:
    three = arms(0.6, 0.65, 0.601)
    assert [(one.arm, one.difference.verdict) for one in compare(three).found] == [
        ("b", "real"),
        ("c", "noise"),
    ]
    found = compare(three, baseline="b").found
    assert [(one.arm, round(one.difference.value, 3)) for one in found] == [
        ("a", -0.05),
        ("c", -0.049),
    ]
    # An arm without runs is no baseline.
    assert compare([ArmRuns("dead", (), ("Died.",)), *three]).baseline == "a"


def test_the_first_metric_of_each_head_is_judged() -> None:
    metrics = dict.fromkeys(("mask/Dice", "joints/PCKh", "joints/PCK"), Measure())
    two = [replace(one, measures=metrics) for one in arms(0.6, 0.65)]
    # A metric that has no value in any run says nothing.
    assert compare(two).judged == ("joints/PCKh",)
    both = [replace(one, runs=tuple(replace(run, metrics={**run.metrics, "mask/Dice": 0.8})
                                    for run in one.runs)) for one in two]  # fmt: skip
    assert compare(both).judged == ("mask/Dice", "joints/PCKh")
    assert compare(two, judged=["joints/PCK"]).judged == ("joints/PCK",)


def test_small_losses_have_enough_digits() -> None:
    loss = {"higher_is_better": False, "loss": True, "fraction": False}
    two = [
        arm(name, "heatmap/loss", list(mean * (1 + SEEDS)), **loss)
        for name, mean in (("a", 0.001), ("b", 0.0007))
    ]
    assert said(compare(two)) == [
        "b: heatmap/loss is better than in a by 0.00030 (0.00030 to 0.00030): real."
    ]
    assert spread(two[1].values("heatmap/loss"), Measure(**loss), 5) == "0.000700 ± 0.000002"


def test_equal_arms_are_not_better_or_worse() -> None:
    for measure, reach in (({}, "-0.005 to 0.005"), (PX, "-0.0046 to 0.0046")):
        (text,) = said(compare(arms(0.6, 0.6, **measure)))
        assert text.startswith(f"b: joints/PCKh is as good as in a ({reach}): noise, within")


def test_more_comparisons_make_a_claim_harder() -> None:
    seeds = np.array([0.0, 0.004, 0.008, 0.012, 0.016])
    many = [arm(str(n), "joints/PCKh", list(0.6 + (n == 1) * 0.011 + seeds)) for n in range(8)]
    assert compare(many[:2]).found[0].difference.verdict == "real"
    assert compare(many).found[0].difference.verdict == "not decided"


PX = {"unit": "px", "higher_is_better": False, "fraction": False}


def test_the_margin_of_what_is_no_fraction_is_a_share() -> None:
    found = compare(arms(30.0, 30.1, metric="joints/RMSE", **PX))
    assert found.found[0].difference.margin == pytest.approx(0.3)
    assert found.found[0].difference.verdict == "real"
    assert said(found) == ["b: joints/RMSE is worse than in a by 0.10 px (0.10 to 0.10): real."]
    (smaller,) = compare(arms(30.0, 29.9, metric="joints/RMSE", **PX),
                         margin=0.02).found  # fmt: skip
    assert sentence(smaller, "a").startswith("b: joints/RMSE is better than in a by 0.10 px")


def test_the_people_of_each_arm_are_resampled() -> None:
    # In b, the first half of the people are right, and in c, in every other run, the second half.
    half = np.repeat([1.0, 0.0], 30)[:, None]
    everybody = np.full((60, 1), 0.5)
    several = {"a": [everybody] * 5, "b": [half] * 5, "c": [half, 1 - half] * 3}
    made = []
    for name, people in several.items():
        runs = [
            finished({"m/PCK": 0.5 + seed}, n, {"m/PCK": Shares(one, np.ones((60, 1)))})
            for n, (one, seed) in enumerate(zip(people, (*SEEDS, 0.0), strict=False))
        ]
        made.append(ArmRuns(name, tuple(runs), (), {"m/PCK": Measure()}))
    a_b, a_c = (one.difference for one in compare(made, margin=0.5).found)
    # The mean of 60 people varies by 0.5 / sqrt(60); with 59 degrees, the quantile is 2.3.
    assert a_b.high - a_b.low == pytest.approx(2 * 2.3 * 0.5 / np.sqrt(60), rel=0.06)
    assert a_c.high - a_c.low < 0.2 * (a_b.high - a_b.low)


def test_too_few_labelled_people_are_said() -> None:
    two = []
    for name, mean in (("a", 0.2), ("b", 0.8)):
        one = arm(name, "m/PCK", list(mean + SEEDS), people=200)
        counts = np.zeros((200, 1))
        counts[:3] = 1.0
        runs = (
            replace(run, shares={"m/PCK": Shares(counts * run.metrics["m/PCK"], counts)})
            for run in one.runs
        )
        two.append(replace(one, runs=tuple(runs)))
    assert said(compare(two)) == [
        "b: m/PCK is better than in a by 0.600: not decided: too few labelled people."
    ]


def test_what_cannot_be_compared_is_said() -> None:
    a, b, c = arms(0.6, 0.65, 0.6)
    silent = replace(b, runs=tuple(replace(run, metrics={}) for run in b.runs))
    strange = replace(c, runs=tuple(replace(run, shares={}) for run in c.runs))
    dead = ArmRuns("d", (), ("Died.",))
    assert said(compare([a, silent, strange, dead])) == [
        "b: joints/PCKh is not compared with a: b has no value.",
        "c: joints/PCKh is not compared with a: the values of the people do not give this metric.",
        "d: joints/PCKh is not compared with a: no run of d has ended.",
    ]
    assert "a has no value" in said(compare([replace(silent, name="a"), replace(a, name="b")]))[0]


def test_runs_with_nan_are_left_out_of_a_metric() -> None:
    a, b = arms(0.6, 0.65)
    broken = replace(b.runs[0], metrics={"joints/PCKh": np.nan})
    found = compare([a, replace(b, runs=(broken, *b.runs[1:]))]).found[0]
    assert found.difference.value == pytest.approx(0.051)
    assert found.difference.seeds == 4
    assert sentence(found, "a").endswith("not decided: 4 seeds; 5 are needed.")


def test_a_single_seed_is_a_difference_without_an_interval() -> None:
    two = [arm("a", "mask/Dice", [0.8]), arm("b", "mask/Dice", [0.79])]
    assert said(compare(two)) == [
        "b: mask/Dice is worse than in a by 0.010: not decided: 1 seed; 5 are needed."
    ]


def test_a_sentence_ends_in_the_verdict() -> None:
    found = Difference(-0.002, -0.008, 0.004, 0.4, 5, 0.01, "noise")
    start = "b: mask/Dice is worse than in a by 0.002 (-0.004 to 0.008): "
    assert sentence(Compared("b", "mask/Dice", Measure(), found), "a") == (
        f"{start}noise, within the margin of 0.010."
    )
    open_ = Compared("b", "mask/Dice", Measure(), replace(found, verdict="not decided"))
    assert sentence(open_, "a") == f"{start}not decided."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"baseline": "d"}, "the baseline to be one of a, b, found 'd'; correct --baseline"),
        ({"judged": ["joints/PCk"]}, r"\(joints/PCKh\), found 'joints/PCk'; correct --metric"),
    ],
)
def test_unknown_names_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(arms(0.6, 0.65), **given)


def test_a_metric_that_is_defined_differently_is_refused() -> None:
    a, b = arms(0.6, 0.65)
    a = replace(a, measures={**a.measures, "joints/PCK": Measure()})
    b = replace(b, measures={"joints/PCKh": Measure(definition=(("threshold", "0.2"),))})
    b = replace(b, measures={**b.measures, "joints/PCK": Measure()})
    with pytest.raises(
        ConfigError,
        match=r"joints/PCKh in all arms, found threshold=none in a and threshold=0.2 in",
    ):
        compare([a, b])
    # Another metric can still be judged.
    assert compare([a, b], judged=["joints/PCK"]).judged == ("joints/PCK",)


def scale(value: int) -> tuple[tuple[str, str], ...]:
    return (("class", "H"), ("scale", str(value)))


def test_a_loss_is_judged_after_the_metrics_if_it_is_the_same_in_all_arms() -> None:
    loss = {"higher_is_better": False, "loss": True, "fraction": False, "definition": scale(25)}
    a, b = arms(50.0, 49.9, metric="heatmap/loss", **loss)
    found = compare([a, b])
    assert found.judged == ("heatmap/loss",)
    # The margin is a share, as a loss has no scale of its own.
    assert found.found[0].difference.margin == pytest.approx(0.5)
    assert said(found) == ["b: heatmap/loss is better than in a by 0.100 (0.095 to 0.105): real."]
    other = {"heatmap/loss": replace(b.measures["heatmap/loss"], definition=scale(100))}
    assert compare([a, replace(b, measures=other)]).judged == ()
    with pytest.raises(ConfigError, match="found scale=25 in a and scale=100 in b"):
        compare([a, replace(b, measures=other)], judged=["heatmap/loss"])


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has ended, found none \(Died\.\); train the arms"):
        compare([ArmRuns("a", (), ("Died.",))])
    assert compare([replace(arms(0.6)[0], runs=(finished({}),), measures={})]).found == ()
