import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features
from lightning_pose.heads import AttentionLSTMHead
from lightning_pose.skeletons import LSP14
from tests.heads.labels import build, make_features, make_labels
from tests.heads.test_lstm import ORDER

SIZE = (24, 31)  # The last column of cells is half outside.


def make(**settings):
    head = AttentionLSTMHead(**{"hidden": 6, "attention": 7, **settings})
    return build(head, SIZE, stride=4, channels=5)


def features(count=3):
    return make_features(SIZE, count, stride=4, channels=5)


@torch.no_grad()
def test_each_step_is_soft_attention_from_its_equations():
    head, maps = make(order=ORDER), features()
    points, attention = head(maps)
    for person in range(3):
        cells = [maps.dense[person, :, row, column] for row in range(6) for column in range(8)]
        start = head.start(sum(cells) / 48).tanh()
        hidden, memory = [start[:6], start[6:12]], [start[12:18], start[18:]]
        for step, name in enumerate(ORDER):
            query = head.query(hidden[1])
            scores = [
                (head.score.weight[0] * torch.tanh(head.key(cell) + query)).sum().exp()
                for cell in cells
            ]
            weights = [score / sum(scores) for score in scores]
            value = sum(weight * cell for weight, cell in zip(weights, cells, strict=True))
            for layer, lstm in enumerate(head.cells):
                pair = lstm(value[None], (hidden[layer][None], memory[layer][None]))
                hidden[layer], memory[layer] = pair[0][0], pair[1][0]
                value = hidden[layer]
            torch.testing.assert_close(attention[person, step].flatten(), torch.stack(weights))
            joint = LSP14.names.index(name)
            torch.testing.assert_close(points[person, joint], head.point(value))


@torch.no_grad()
def test_weights_sum_to_one_over_the_image_and_padding_gets_none():
    head, maps = make(), features()
    # Far larger than anything in the image.
    maps.dense[1, :, 4:] = maps.dense[1, :, :, 5:] = 100
    maps.valid = torch.zeros(3, *SIZE, dtype=torch.bool)
    maps.valid[0] = maps.valid[2] = True
    maps.valid[1, :15, :20] = True  # 4 x 5 cells, the last row of which is partly outside.
    points, attention = head(maps)
    assert (attention >= 0).all()
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(3, LSP14.num_joints))
    assert not attention[1, :, 4:].any()
    assert not attention[1, :, :, 5:].any()
    assert (attention[1, :, :4, :5] > 0).all()
    alone = Features(maps.dense[1:2, :, :4, :5], maps.deep[1:2, :, :4, :5])
    torch.testing.assert_close(head(alone)[0], points[1:2])
    torch.testing.assert_close(head(alone)[1], attention[1:2, :, :4, :5])


def test_mirrored_attention_belongs_to_the_step_of_the_other_side():
    head = make(order=ORDER)
    # Each map and point says which joint it is.
    joints = torch.tensor([float(LSP14.names.index(name)) for name in ORDER])
    attention = joints.view(1, -1, 1, 1) + torch.tensor([0.1, 0.2, 0.3, 0.4])
    points = torch.arange(14.0).view(1, 14, 1).expand(1, 14, 2)
    unflipped, weights = head.unflip((points, attention))
    for step, name in enumerate(ORDER):
        joint = LSP14.names.index(name)
        other = LSP14.flip_order[joint]
        expected = other + torch.tensor([0.4, 0.3, 0.2, 0.1])
        torch.testing.assert_close(weights[0, step, 0], expected)
        assert unflipped[0, joint].tolist() == [-other, other]


def test_attention_learns_where_to_look():
    # One cell, anywhere in the map, says where the joints are.
    head = build(AttentionLSTMHead(hidden=16, attention=16), (32, 32), stride=4, channels=3)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    batch = make_labels((32, 32), count=64)
    batch.visibility[:] = 2
    losses, on_target = [], 0.0
    for _ in range(120):
        cell = torch.randint(0, 64, (64,))
        place = torch.rand(64, 1, 2)
        batch.keypoints = (place * 32 - 0.5).expand(-1, LSP14.num_joints, -1)
        dense = torch.zeros(64, 3, 64)
        dense[torch.arange(64), :, cell] = torch.cat((place[:, 0], torch.ones(64, 1)), dim=1)
        dense = dense.view(64, 3, 8, 8)
        output = head(Features(dense, dense))
        loss = head.loss(output, head.encode(batch, output)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        on_target = output[1].flatten(2)[torch.arange(64), :, cell].mean().item()
    assert losses[-1] < 0.2 * losses[0]
    assert on_target > 0.5, "without learning, 1 / 64"


def test_half_precision_does_not_add_up_over_the_steps():
    head, maps = make(), features()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(maps)
    for one, other in zip(mixed, head(maps), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["hidden", "layers", "attention"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ConfigError, match=rf"AttentionLSTMHead\.{name} of 1 or more, found 0"):
        AttentionLSTMHead(**{name: 0})


def test_an_order_that_is_not_one_is_refused():
    with pytest.raises(ConfigError, match=r"AttentionLSTMHead\.order to name each of"):
        make(order=["neck"])


def test_the_loss_is_the_squared_distance_summed_over_the_steps():
    head, batch = make(), make_labels(SIZE)
    batch.visibility.fill_(2)
    output = head(features())
    target = head.encode(batch, output)
    squared = (output[0] - target.value).square().sum(dim=2)
    torch.testing.assert_close(head.loss(output, target).mean(), squared.sum(dim=1).mean())
