import torch

from lightning_pose.weightings import RandomWeighting
from tests.weightings.steps import make_step


def make(seed, names=("a", "b", "c")):
    torch.manual_seed(seed)
    weighting = RandomWeighting()
    weighting.build(names)
    return weighting


def draw(weighting, step):
    weighting.observe(make_step([1.0, 1.0, 1.0], step=step))
    return weighting.current_weights


def test_weights_depend_on_the_seed_and_the_step_alone():
    weighting, again, other = make(3), make(3), make(4)
    first = draw(weighting, 7)
    torch.manual_seed(99)
    for step in (2, 7):
        found = draw(again, step)
    assert torch.equal(found, first)
    assert not torch.equal(draw(weighting, 8), first)
    assert not torch.equal(draw(other, 7), first)


def test_the_checkpoint_brings_the_seed():
    weighting, other = make(3), make(4)
    other.load_state_dict(weighting.state_dict())
    assert torch.equal(draw(other, 11), draw(weighting, 11))


def test_building_draws_nothing():
    torch.manual_seed(5)
    expected = torch.rand(3)
    make(5)
    assert torch.equal(torch.rand(3), expected)


def test_the_weights_are_the_softmax_of_normal_numbers():
    weighting = make(0)
    drawn = torch.stack([draw(weighting, step) for step in range(1000)])
    torch.testing.assert_close(drawn.sum(dim=1), torch.ones(1000))
    # The difference of the logarithms of two weights is that of two normal numbers.
    difference = drawn[:, 0].log() - drawn[:, 1].log()
    assert abs(difference.mean()) < 0.15
    assert abs(difference.var() - 2) < 0.3
    assert abs(torch.corrcoef(torch.stack((difference[1:], difference[:-1])))[0, 1]) < 0.1


def test_every_seed_of_pytorch_can_be_used():
    draw(make(2**64 - 1), 0)
