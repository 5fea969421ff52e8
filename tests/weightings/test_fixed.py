import math

import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.weightings import FixedWeighting


def make_losses(**values):
    return {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}


def build(weights=None, names=("mask", "joints")):
    weighting = FixedWeighting(weights)
    weighting.build(names)
    return weighting


def test_it_is_the_weighted_sum_and_one_where_no_weight_is_given():
    losses = make_losses(mask=4.0, joints=3.0)
    total = build({"mask": 0.25})(losses)
    total.backward()
    assert total.item() == 4.0
    assert losses["mask"].grad == 0.25
    assert losses["joints"].grad == 1.0
    assert build()(losses).item() == 7.0


def test_the_order_of_the_heads_does_not_matter():
    weighting = build({"mask": 0.25, "joints": 3.0})
    losses = make_losses(mask=4.0, joints=3.0)
    assert weighting(losses) == weighting(dict(reversed(losses.items())))


@pytest.mark.parametrize("value", [2.0, math.nan, math.inf])
def test_a_weight_of_zero_kills_the_gradient_and_even_a_nan(value):
    losses = make_losses(mask=value, joints=3.0)
    total = build({"mask": 0.0})(losses)
    total.backward()
    assert total.item() == 3.0
    assert not losses["mask"].grad
    assert losses["joints"].grad == 1.0


def test_nothing_to_learn_is_refused():
    with pytest.raises(ConfigError, match=r"above 0 for at least one of the heads .*only zeros"):
        build({"mask": 0.0, "joints": 0.0})


def test_every_head_has_a_weight():
    assert build({"mask": 0.5}).head_weights() == {"mask": 0.5, "joints": 1.0}


def test_the_weights_are_kept_as_they_were_given():
    given = {"mask": 0.5}
    weighting = build(given)
    assert weighting.weights == {"mask": 0.5}
    given["mask"] = 9.0
    assert weighting.weights == {"mask": 0.5}


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_bad_weight_is_refused_by_the_name_of_its_head(weight):
    with pytest.raises(ConfigError, match="for head 'mask'"):
        FixedWeighting({"mask": weight})


def test_a_head_that_does_not_exist_is_named_beside_those_that_do():
    with pytest.raises(ConfigError, match=r"\['joints', 'mask'\], found some for \['maks'\]"):
        build({"maks": 1.0})
