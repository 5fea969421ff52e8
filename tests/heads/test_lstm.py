import copy

import pytest
import torch
from torch import nn

from lightning_pose.errors import ConfigError
from lightning_pose.features import FeatureSpec, MapSpec
from lightning_pose.heads import FullyConnectedHead, LSTMHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.heads.labels import build, make_features, make_labels

SIZE = (24, 32)
ORDER = ["neck", *(name for name in LSP14.names if name != "neck")]


def make(**settings):
    head = LSTMHead(**{"fully_connected": [12, 10], "hidden": 6, **settings})
    return build(head, SIZE, stride=8, channels=5)


def features(count=3):
    return make_features(SIZE, count, stride=8, channels=5)


def lstm_by_hand(inputs, hidden, cell, lstm, layer):
    """One step of one LSTM, from the equations of its gates."""
    gates = inputs @ getattr(lstm, f"weight_ih_l{layer}").T + getattr(lstm, f"bias_ih_l{layer}")
    gates += hidden @ getattr(lstm, f"weight_hh_l{layer}").T + getattr(lstm, f"bias_hh_l{layer}")
    take, keep, new, show = gates.chunk(4, dim=1)
    cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
    return show.sigmoid() * cell.tanh(), cell


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_each_step_is_one_joint_of_a_plain_recurrence(layers):
    head, maps = make(layers=layers, order=ORDER), features()
    first, second = head.vector[1], head.vector[4]
    vector = second(first(maps.deep.flatten(1)).clamp_min(0)).clamp_min(0)
    start = head.start(vector).tanh()
    hidden = [start[:, 6 * layer : 6 * layer + 6] for layer in range(layers)]
    cell = [start[:, 6 * layer + 6 * layers :][:, :6] for layer in range(layers)]
    found = head(maps)
    for name in ORDER:
        value = vector
        for layer in range(layers):
            value, cell[layer] = lstm_by_hand(value, hidden[layer], cell[layer], head.lstm, layer)
            hidden[layer] = value
        torch.testing.assert_close(found[:, LSP14.names.index(name)], head.point(value))


@torch.no_grad()
def test_another_order_gives_the_same_sequence_to_other_joints():
    plain, maps = make(), features()
    other = make(order=ORDER)
    other.load_state_dict(copy.deepcopy(plain.state_dict()))
    order = [LSP14.names.index(name) for name in ORDER]
    assert plain.steps == LSP14.names
    assert list(other.steps) == ORDER
    torch.testing.assert_close(other(maps)[:, order], plain(maps))
    assert not torch.allclose(other(maps), plain(maps))


def test_the_loss_is_summed_over_the_steps():
    head, batch = make(), make_labels(SIZE)
    batch.visibility[:] = 2
    output = torch.randn(3, LSP14.num_joints, 2)
    target = head.encode(batch, output)
    middle, half = torch.tensor([15.5, 11.5]), torch.tensor([16.0, 12.0])
    distance = (output - (batch.keypoints - middle) / half).norm(dim=2)
    expected = distance.square().sum(dim=1).mean()
    torch.testing.assert_close(head.loss(output, target).mean(), expected)
    # A joint without a label counts as the mean of the others.
    batch.visibility[:, 1] = 0
    rest = distance[:, [0, *range(2, 14)]].square()
    found = head.loss(output, head.encode(batch, output)).mean()
    torch.testing.assert_close(found, rest.mean() * LSP14.num_joints)


def test_a_few_people_are_memorised():
    head, maps, batch = make(hidden=32, fully_connected=[32]), features(), make_labels(SIZE)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    losses = []
    for _ in range(150):
        output = head(maps)
        loss = head.loss(output, head.encode(batch, output)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]


def test_batch_norm_is_where_it_was_asked_for():
    kinds = {
        norm: [type(layer) for layer in make(norm=norm).vector[1:5]]
        for norm in (None, "before", "after")
    }
    assert kinds[None] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert kinds["before"] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert kinds["after"] == [nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Dropout]
    assert {layer.p for layer in make(dropout=0.3).modules() if isinstance(layer, nn.Dropout)} == {
        0.3
    }


def test_its_layers_start_as_those_of_the_plain_regressor():
    lstm = build(LSTMHead([2000, 2000]), SIZE, stride=8, channels=5)
    plain = build(FullyConnectedHead([2000, 2000], norm=None), SIZE, stride=8, channels=5)
    pairs = [
        pair
        for pair in zip(lstm.vector, plain.layers, strict=True)
        if isinstance(pair[0], nn.Linear)
    ]
    assert len(pairs) == 2
    for own, other in pairs:
        assert own.weight.std().item() == pytest.approx((2 / own.in_features) ** 0.5, rel=0.02)
        assert own.weight.std().item() == pytest.approx(other.weight.std().item(), rel=0.02)
        assert not own.bias.any()


def test_half_precision_does_not_add_up_over_the_steps():
    head, maps = make(fully_connected=[]), features()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(maps)
    assert torch.equal(mixed, head(maps))


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ConfigError, match=r"hidden and layers of 1 or more, found \[4, 0\], 6"):
        make(fully_connected=[4, 0])
    with pytest.raises(ConfigError, match=r"of 1 or more, found .* 6 and 0"):
        make(layers=0)
    with pytest.raises(ConfigError, match=r"LSTMHead\.dropout of 0 or more and below 1, found 1"):
        make(dropout=1.0)
    with pytest.raises(ConfigError, match=r"LSTMHead\.order to name each of right_ankle"):
        make(order=["neck"])
    head = make(norm="after")
    head(features(2))
    with pytest.raises(ConfigError, match=r"2 people or more .* found 1; raise data\.batch_size"):
        head(features(1))
    head.eval()(features(1))
    make(fully_connected=[], norm="after")(features(1))  # No layer has batch norm.
    any_size = Task(LSP14, InputSpec(size=None, short_side=64))
    deep = MapSpec(4, 16, 4, 4)
    with pytest.raises(ConfigError, match=r"fixed size for LSTMHead.*found short_side 64"):
        LSTMHead().build(FeatureSpec(deep, deep), any_size)
