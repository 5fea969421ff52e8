"""Which joints count, how their results are grouped, and when the joints must be known."""

import numpy as np
import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.metrics import PCK, RMSE, PCKh, judge
from lightning_pose.skeletons import LSP14, Skeleton
from lightning_pose.task import Task
from tests.metrics.people import make_people, predict

PAIRS = ["ankle", "knee", "hip", "wrist", "elbow", "shoulder", "neck", "head_top"]


def figures(metric, skeleton=LSP14):
    metric.build(Task(skeleton))
    batch = make_people(40)
    metric.judge(judge(predict(batch), batch))
    return {name: figure.item() for name, figure in metric.results().items()}


def counts(size):
    """How often each joint is correct and how often it occurs, by a plain loop."""
    batch = make_people(40)
    errors = judge(predict(batch), batch).errors
    right, occurs = np.zeros(14), np.zeros(14)
    for person in range(40):
        length = getattr(batch, size)[person].item()
        for joint in range(14):
            if length > 0 and batch.source_visibility[person, joint] > 0:
                occurs[joint] += 1
                right[joint] += errors[person, joint].item() <= 0.2 * length
    return right, occurs


def test_figures_per_joint_are_the_fractions_of_the_joints():
    right, occurs = counts("torso_size")
    found = figures(PCK(per="joint"))
    assert list(found) == ["", *LSP14.names]
    np.testing.assert_allclose(list(found.values())[1:], right / occurs, rtol=1e-6)
    assert found[""] == pytest.approx((right / occurs).mean())


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_figures_per_pair_are_over_both_joints_in_the_metrics_own_average(average):
    right, occurs = counts("torso_size")
    found = figures(PCK(per="pair", average=average))
    assert list(found) == ["", *PAIRS]
    for name in PAIRS:
        places = [i for i, joint in enumerate(LSP14.names) if joint.endswith(name)]
        assert len(places) == (1 if name in ("neck", "head_top") else 2)
        mean = (right[places] / occurs[places]).mean()
        wanted = {"macro": mean, "micro": right[places].sum() / occurs[places].sum()}[average]
        assert found[name] == pytest.approx(wanted, rel=1e-6)


def test_joints_that_are_not_chosen_count_in_no_figure():
    right, occurs = counts("head_size")
    chosen = ["neck", "left_knee", "right_knee", "left_hip"]
    places = [LSP14.names.index(name) for name in chosen]
    found = figures(PCKh(threshold=0.2, joints=chosen))
    assert found == {"": pytest.approx((right[places] / occurs[places]).mean())}
    micro = figures(PCKh(threshold=0.2, joints=chosen, average="micro"))[""]
    assert micro == pytest.approx(right[places].sum() / occurs[places].sum())
    pairs = figures(PCKh(threshold=0.2, joints=chosen, per="pair"))
    assert list(pairs) == ["", "knee", "hip", "neck"]
    left = LSP14.names.index("left_hip")
    assert pairs["hip"] == pytest.approx(right[left] / occurs[left])


def test_a_persons_value_is_over_the_chosen_joints():
    batch = make_people(20)
    judged = judge(predict(batch), batch)
    chosen = ["neck", "left_knee", "right_knee"]
    places = [LSP14.names.index(name) for name in chosen]
    metric = RMSE(joints=chosen)
    metric.build(Task(LSP14))
    wanted = judged.input_errors[:, places].square().nanmean(dim=1).sqrt().float()
    assert wanted.isnan().any()
    torch.testing.assert_close(metric.judge(judged), wanted, equal_nan=True)


def test_a_joint_without_a_partner_keeps_its_name():
    names = ("left_eye", "tail", *LSP14.names[2:])
    found = figures(PCK(per="pair"), Skeleton(names, (), (), ()))
    assert {"left_eye", "tail", "hip"} < set(found)


def test_without_the_joints_nothing_is_counted():
    batch = make_people(2)
    plain = {
        "preds": batch.source_keypoints,
        "target": batch.source_keypoints,
        "labelled": batch.source_labelled,
        "normalizer": batch.torso_size,
    }
    with pytest.raises(
        ConfigError, match=r"PCK to know the joints.*give num_joints, or call build"
    ):
        PCK().update(**plain)
    with pytest.raises(ConfigError, match="PCK to know the joints"):
        PCK().compute()
    for metric in (PCK(14, joints=["neck"]), PCK(14, per="pair")):
        with pytest.raises(ConfigError, match=r"names of the joints.*leave out joints and per"):
            metric.update(**plain)
        assert metric.count.sum() == 0
        metric.build(Task(LSP14))
        metric.update(**plain)
        assert metric.count.sum() > 0


def test_each_joint_has_its_result_whatever_per_is() -> None:
    batch = make_people(20)
    found = {}
    for per in (None, "pair", "joint"):
        metric = PCK(per=per, joints=["neck", "left_knee", "right_knee"])
        metric.build(Task(LSP14))
        metric.judge(judge(predict(batch), batch))
        found[per] = metric.per_joint()
    assert list(found[None]) == ["right_knee", "left_knee", "neck"]
    expected = {name: value for name, value in metric.results().items() if name}
    assert found[None] == found["pair"] == found["joint"] == expected


def test_settings_that_do_not_fit_get_one_sentence():
    task = Task(LSP14)
    with pytest.raises(ConfigError, match=r"PCK\.num_joints to be the skeleton's 14, found 16"):
        PCK(16).build(task)
    with pytest.raises(ConfigError, match=r"among right_ankle, .*, found 'knee', 'toe'; correct"):
        RMSE(joints=["toe", "neck", "knee"]).build(task)
    with pytest.raises(
        ConfigError, match="'macro' or 'micro' for PCKh in a model, found 'none'; set per"
    ):
        PCKh(average="none").build(task)
    with pytest.raises(ConfigError, match="at least one joint, found none"):
        PCK(joints=[])
