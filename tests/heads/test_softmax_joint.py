import itertools
import math

import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.heads import SoftmaxJointHead
from lightning_pose.skeletons import LSP14
from tests.heads.labels import build, make_features, make_labels, perfect_output


def test_the_channel_of_an_unlabelled_joint_is_neither_taught_nor_penalised():
    size = (48, 64)
    head, batch = build(SoftmaxJointHead(), size), make_labels(size)
    output = head(make_features(size, 3)).detach().requires_grad_()
    target = head.encode(batch, output)
    head.loss(output, target).mean().backward()
    unlabelled = ~batch.labelled
    assert unlabelled.any()
    assert not output.grad[:, 1:][unlabelled].any()
    assert output.grad[:, 0].any()
    louder = output.detach().clone()
    louder[:, 1:][unlabelled] += 100
    loud, usual = head.loss(louder, target), head.loss(output, target)
    torch.testing.assert_close(loud.mean(), usual.mean())


def test_joints_and_background_count_half_each():
    size = (128, 128)
    head, batch = build(SoftmaxJointHead(), size), make_labels(size)
    output = torch.zeros_like(head(make_features(size, 3)))
    target = head.encode(batch, output)
    # Everything is background: right for most cells, and it still costs half of a joint cell's
    # loss.
    output[:, 0] = 5
    labelled = batch.labelled.sum(dim=1)
    cost = torch.log(math.exp(5) + labelled)
    counts = (target.value > 0).sum(dim=(1, 2))
    joints = (cost * counts).sum() / counts.sum()
    rest = (target.value == 0).sum(dim=(1, 2))
    background = ((cost - 5) * rest).sum() / rest.sum()
    torch.testing.assert_close(head.loss(output, target).mean(), (joints + background) / 2)


def test_unbalanced_every_cell_counts_the_same():
    size = (48, 64)
    head, batch = build(SoftmaxJointHead(balanced=False), size), make_labels(size)
    batch.visibility.fill_(2)
    output = head(make_features(size, 3)).detach()
    target = head.encode(batch, output)
    expected = torch.nn.functional.cross_entropy(output, target.value)
    torch.testing.assert_close(head.loss(output, target).mean(), expected)


def test_soft_the_one_of_a_joint_is_the_height_of_its_gaussian_and_the_background_gets_nothing():
    size = (48, 64)
    hard, soft = (build(SoftmaxJointHead(soft=soft), size) for soft in (False, True))
    batch = make_labels(size)
    output = hard(make_features(size, 3)).detach()
    labels, shares = hard.encode(batch, output).value, soft.encode(batch, output).value
    background = labels == 0
    assert torch.equal(shares[:, 0], background.float())
    assert torch.equal(shares.argmax(dim=1), labels)
    # Every cell has one class alone: the nearest joint's, as high as sigma of 4 pixels makes it.
    assert ((shares > 0).sum(dim=1) == 1).all()
    for person, row, column in (~background).nonzero()[::7].tolist():
        joint = labels[person, row, column] - 1
        centre = torch.tensor([4 * column + 1.5, 4 * row + 1.5])
        squared = (batch.keypoints[person, joint] - centre).square().sum()
        height = torch.exp(-squared / (2 * 4.0**2))
        assert height > 0.01
        torch.testing.assert_close(shares[person, joint + 1, row, column], height)


def test_argmax_takes_the_cell_that_maximises_each_channel():
    head = build(SoftmaxJointHead(decoding="argmax"), (48, 64))
    output = torch.randn(3, LSP14.num_joints + 1, 12, 16)
    found = head.decode(output, (48, 64))
    probability = output.softmax(dim=1)[:, 1:]
    for person, joint in itertools.product(range(3), range(LSP14.num_joints)):
        row, column = divmod(probability[person, joint].argmax().item(), 16)
        assert found.keypoints[person, joint].tolist() == [4 * column + 1.5, 4 * row + 1.5]
    torch.testing.assert_close(found.scores, probability.amax(dim=(2, 3)))


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_joints_that_are_apart_decode_to_half_a_cell(stride):
    size = (40 * stride + 1, 40 * stride + 1)
    head, batch = build(SoftmaxJointHead(), size, stride), make_labels(size, count=8)
    # One joint in each square of ten cells, anywhere in its middle or at the edge of the image.
    squares = torch.tensor([[x, y] for y in range(4) for x in range(4)])[:14] * 10.0
    within = torch.rand(8, 14, 2) * 4 + torch.where(squares > 0, 3.0, -0.5)
    batch.keypoints[:] = (squares + within) * stride
    batch.visibility.fill_(2)
    output = head(make_features(size, 8, stride))
    prediction = head.decode(perfect_output(head, batch, output), size)
    assert ((prediction.keypoints - batch.keypoints).abs() / stride).max() < 0.5
    assert (prediction.scores > 0.99).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": -1.0}, "sigma above 0, found -1.0"),
        ({"threshold": 1.0}, "threshold between 0 and 1, found 1.0"),
        ({"threshold": math.nan}, "threshold between 0 and 1, found nan"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SoftmaxJointHead(**settings)
