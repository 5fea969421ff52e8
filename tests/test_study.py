"""The file of a study: arms and seeds, and what is refused."""

from pathlib import Path

import pytest

from lightning_pose.errors import ConfigError
from lightning_pose.study import Arm, Study, single_task_arms

FILE = Path("weights.yaml")


def test_an_arm_is_options_as_one_would_type_them() -> None:
    arms = {"long": "--config data/lspet.yaml --data.scale '[0.5, 1]'", "plain": None}
    study = Study.from_dict({"seeds": [3, 1], "arms": arms}, FILE)
    options = ("--config", "data/lspet.yaml", "--data.scale", "[0.5, 1]")
    assert study.arms == (Arm("long", options), Arm("plain"))
    assert study.seeds == (3, 1)
    assert study.single_task is None


def test_five_seeds_are_the_default() -> None:
    # With fewer, no difference between arms can be claimed.
    assert Study.from_dict({"arms": {"plain": None}}, FILE).seeds == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({}, "arms: None"),
        ({"arms": {}}, "arms: {}"),
        ({"arms": ["equal"]}, "arms: ['equal']"),
        ({"arms": {"a": None}, "seed": 1}, "the key 'seed'"),
        ({"arms": {"../a": None}}, "'../a'"),
        ({"arms": {"": None}}, "''"),
        ({"arms": {"a": ["--trainer.max_epochs 2"]}}, "['--trainer.max_epochs 2']"),
        ({"arms": {"a": {"trainer": {"max_epochs": 2}}}}, "{'trainer'"),
        ({"arms": {"a": 2}}, "found 2"),
        ({"arms": {"a": "unet.yaml"}}, "'unet.yaml'"),
        ({"arms": {"a": "--experiment 'x"}}, '"--experiment \'x"'),
        ({"arms": {"a": None}, "seeds": 0}, "found 0"),
        ({"arms": {"a": None}, "seeds": True}, "found True"),
        ({"arms": {"a": None}, "seeds": [0, 0]}, "[0, 0]"),
        ({"arms": {"a": None}, "seeds": [-1]}, "[-1]"),
        ({"arms": {"a": None}, "seeds": [0.5]}, "[0.5]"),
        ({"arms": {"a": None}, "seeds": "two"}, "'two'"),
        ({"arms": {"a": None}, "single_task": "yes"}, "'yes'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(data: dict, found: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected .* weights\.yaml.* found") as caught:
        Study.from_dict(data, FILE)
    assert found in str(caught.value)


def test_a_baseline_keeps_one_head_and_makes_it_the_main_one() -> None:
    mask, joints = single_task_arms(["mask", "joints"])
    assert (mask.name, joints.name) == ("only_mask", "only_joints")
    assert "--model.heads.joints=null" in mask.options
    assert "--model.heads.mask=null" not in mask.options
    assert "--model.main_head=joints" in joints.options
    # The main metric of the whole model may be one of another head.
    assert "--model.main_metric=null" in joints.options
    assert '--model.weighting.weights={"joints": 1.0}' in joints.options


def test_heads_alone_are_arms_of_a_model_with_two_heads_or_more() -> None:
    def names(heads: list[str], **settings: bool) -> list[str]:
        study = Study.from_dict({"arms": {"plain": None}, **settings}, FILE)
        return [arm.name for arm in study.with_baselines(heads, FILE)]

    assert names(["mask", "joints"]) == ["plain", "only_mask", "only_joints"]
    assert names(["mask", "joints"], single_task=False) == ["plain"]
    assert names(["mask"]) == ["plain"]
    assert names([]) == ["plain"]
    with pytest.raises(ConfigError, match=r"two heads .* in weights\.yaml, found mask; name the"):
        names(["mask"], single_task=True)


def test_an_arm_with_the_name_of_a_baseline_is_refused() -> None:
    study = Study.from_dict({"arms": {"only_mask": None}}, FILE)
    with pytest.raises(ConfigError, match="found only_mask; rename the arm, or set single_task"):
        study.with_baselines(["mask", "joints"], FILE)
    assert len(study.with_baselines(["mask"], FILE)) == 1
