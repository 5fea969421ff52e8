import inspect

import pytest
import torch
from torch import nn

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads import FullyConnectedHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.heads.labels import build, make_features, make_labels

SIZE = (48, 64)


def test_it_is_a_perceptron_on_the_flattened_map():
    head = build(FullyConnectedHead([7, 5], norm=None, init="xavier"), SIZE)
    features = make_features(SIZE, 3)
    x = features.deep.flatten(1)
    weights = [module for module in head.modules() if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in weights] == [7, 5, 2 * LSP14.num_joints]
    for layer in weights[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp_min(0)
    expected = (x @ weights[-1].weight.T + weights[-1].bias).view(3, LSP14.num_joints, 2)
    torch.testing.assert_close(head(features), expected)


def test_without_hidden_layers_it_is_linear():
    head = build(FullyConnectedHead([], init="xavier"), SIZE)
    one, other = make_features(SIZE, 2), make_features(SIZE, 2)
    both = Features(one.dense + other.dense, one.deep + other.deep)
    torch.testing.assert_close(head(both), head(one) + head(other))


@pytest.mark.parametrize("norm", ["before", "after"])
def test_batch_norm_and_dropout_stand_after_each_hidden_layer(norm):
    head = build(FullyConnectedHead([7, 5], norm=norm, dropout=0.5), SIZE)
    found = [type(layer) for layer in head.layers]
    middle = [nn.BatchNorm1d, nn.ReLU] if norm == "before" else [nn.ReLU, nn.BatchNorm1d]
    assert found == [nn.Flatten] + 2 * [nn.Linear, *middle, nn.Dropout]
    assert {layer.p for layer in head.layers if isinstance(layer, nn.Dropout)} == {0.5}


def test_it_starts_from_the_middle_of_the_image():
    head = build(FullyConnectedHead([50, 50]), SIZE)
    points = head.decode(head(make_features(SIZE, 3)).detach(), SIZE).keypoints
    torch.testing.assert_close(points, torch.tensor([31.5, 23.5]).expand(3, 14, 2), atol=2, rtol=0)


@pytest.mark.parametrize("init", ["kaiming", "xavier"])
def test_its_weights_start_as_asked(init):
    head = build(FullyConnectedHead([150], norm=None, init=init), SIZE)
    hidden, last = (module for module in head.modules() if isinstance(module, nn.Linear))
    for layer, variance in (
        (hidden, 2 / hidden.in_features),
        (last, 0.001**2),
    ):
        if init == "xavier":
            variance = 2 / (layer.in_features + layer.out_features)
        assert float(layer.weight.detach().var()) == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize(("criterion", "power"), [("mse", 2), ("l1", 1)])
def test_the_loss_is_the_mean_over_labelled_joints(criterion, power):
    size = (40, 80)
    head, batch = build(FullyConnectedHead([4], criterion=criterion), size), make_labels(size)
    output = torch.zeros(3, LSP14.num_joints, 2)
    # The centre of the image is 0, its edges are -1 and 1.
    middle, half = torch.tensor([39.5, 19.5]), torch.tensor([40.0, 20.0])
    expected = ((batch.keypoints - middle) / half).abs().pow(power)[batch.labelled].mean()
    torch.testing.assert_close(head.loss(output, head.encode(batch, output)).mean(), expected)


def test_an_input_without_a_fixed_size_is_refused():
    grid = MapSpec(8, 4, 32, 32)
    task = Task(LSP14, InputSpec(size=None, short_side=128))
    with pytest.raises(
        ConfigError, match=r"input_spec\.size for FullyConnectedHead.*short_side 128"
    ):
        FullyConnectedHead().build(FeatureSpec(dense=grid, deep=grid), task)


def test_one_person_is_too_few_for_batch_norm_in_training_only():
    head, one = build(FullyConnectedHead([4]), SIZE), make_features(SIZE, 1)
    with pytest.raises(ConfigError, match="2 people or more"):
        head(one)
    assert head.eval()(one).shape == (1, LSP14.num_joints, 2)
    for head in (FullyConnectedHead([4], norm=None), FullyConnectedHead([])):
        assert build(head, SIZE)(one).shape == (1, LSP14.num_joints, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": [8, 0]}, r"layers of 1 unit or more, found \[8, 0\]"),
        ({"dropout": 1.0}, r"FullyConnectedHead\.dropout .* found 1\.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FullyConnectedHead(**settings)


def test_an_unknown_criterion_is_refused():
    # Without the tests' runtime type checker, which would be first.
    head = FullyConnectedHead.__new__(FullyConnectedHead)
    with pytest.raises(ConfigError, match=r"FullyConnectedHead\.criterion to be .*, found 'l2'"):
        inspect.unwrap(FullyConnectedHead.__init__)(head, criterion="l2")
