"""Layers with batch norm on either side of the ReLU, and the spread of their initial weights."""

import inspect
import math

import pytest
import torch
from torch import nn

from lightning_pose.errors import ConfigError
from lightning_pose.layers import activated, check_settings, init_weights


@pytest.mark.parametrize(
    ("norm", "kinds"),
    [
        ("before", [nn.Linear, nn.BatchNorm1d, nn.ReLU]),
        ("after", [nn.Linear, nn.ReLU, nn.BatchNorm1d]),
        (None, [nn.Linear, nn.ReLU]),
    ],
)
def test_batch_norm_is_where_it_was_asked_for(norm, kinds):
    layers = activated(nn.Linear(3, 4), nn.BatchNorm1d(4), norm)
    assert [type(layer) for layer in layers] == kinds
    output = nn.Sequential(*layers)(torch.randn(64, 3))
    # Only a batch norm that comes last leaves a mean of 0; a ReLU leaves nothing below 0.
    assert (output.mean(dim=0).abs().max() < 1e-5) == (norm == "after")
    assert (output.min() >= 0) == (norm != "after")


@pytest.mark.parametrize("layer", [nn.Conv2d(40, 60, 3), nn.Linear(400, 600)], ids=repr)
def test_weights_have_the_variance_of_their_papers(layer):
    cells = layer.weight[0, 0].numel() if layer.weight.dim() == 4 else 1
    into, out = layer.weight.shape[1] * cells, layer.weight.shape[0] * cells
    for init, variance in (("kaiming", 2 / into), ("xavier", 2 / (into + out))):
        nn.init.ones_(layer.bias)
        init_weights(nn.Sequential(nn.ReLU(), nn.Sequential(layer)), init)
        assert float(layer.weight.detach().var()) == pytest.approx(variance, rel=0.05)
        assert not layer.bias.any()


def test_kaiming_keeps_the_signal_through_many_layers_with_relus():
    x = torch.randn(50, 300)
    layers = nn.Sequential(*(m for _ in range(12) for m in (nn.Linear(300, 300), nn.ReLU())))
    power = {}
    for init in ("kaiming", "xavier"):
        init_weights(layers, init)
        with torch.no_grad():
            power[init] = float(layers(x).square().mean() / x.square().mean())
    # He's weights keep it; Glorot's halve it at every ReLU.
    assert 0.2 < power["kaiming"] < 5
    assert power["xavier"] < 0.01


def test_batch_norm_keeps_its_weights():
    norm = nn.BatchNorm2d(3)
    init_weights(norm, "xavier")
    assert torch.equal(norm.weight, torch.ones(3))


@pytest.mark.parametrize("rate", [1.0, -0.1, math.nan])
def test_a_dropout_that_is_no_probability_is_refused(rate):
    with pytest.raises(ConfigError, match=f"Deep.dropout of 0 or more and below 1, found {rate}"):
        check_settings("Deep", None, "xavier", [0.5, rate])


@pytest.mark.parametrize(("norm", "init"), [("above", "xavier"), ("after", "zeros")])
def test_an_unknown_choice_is_refused(norm, init):
    with pytest.raises(ConfigError, match=r"Deep.* to be one of .*, found '(above|zeros)'"):
        # Without the tests' runtime type checker, which would be first.
        inspect.unwrap(check_settings)("Deep", norm, init, [])
