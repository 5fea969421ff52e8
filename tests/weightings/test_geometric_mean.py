import pytest
import torch

from lightning_pose.weightings import GeometricMeanWeighting
from tests.weightings.steps import make_step


def make():
    weighting = GeometricMeanWeighting()
    weighting.build(["a", "b", "c"])
    return weighting


def observe(weighting, *losses):
    weighting.observe(make_step(losses))


def test_value_and_gradient_are_those_of_the_geometric_mean():
    values = [2.0, 0.5, 27.0]
    ours = [torch.tensor(value, requires_grad=True) for value in values]
    plain = [torch.tensor(value, requires_grad=True) for value in values]
    weighting = make()
    observe(weighting, *values)
    total = weighting(dict(zip(weighting.head_names, ours, strict=True)))
    expected = (plain[0] * plain[1] * plain[2]) ** (1 / 3)
    total.backward()
    expected.backward()
    assert total.item() == pytest.approx(expected.item()) == pytest.approx(3)
    for one, other in zip(ours, plain, strict=True):
        assert one.grad.item() == pytest.approx(other.grad.item())


def test_processes_together_have_the_gradient_of_the_mean_over_everybody():
    # The loss over all is the mean of the processes', and DDP takes the mean of the gradients.
    shares = [[1.0, 4.0, 3.0], [3.0, 0.0, 1.0]]
    x = torch.tensor(1.0, requires_grad=True)
    weighting = make()
    observe(weighting, *torch.tensor(shares).mean(dim=0).tolist())
    for share in shares:
        losses = {name: value * x for name, value in zip(weighting.head_names, share, strict=True)}
        (weighting(losses) / 2).backward()
    assert x.grad.item() == pytest.approx((2 * 2 * 2) ** (1 / 3))


def test_a_head_without_a_loss_takes_no_part_and_keeps_its_weight():
    weighting = make()
    observe(weighting, 2.0, 0.5, 27.0)
    before = weighting.current_weights.tolist()
    observe(weighting, 4.0, 0.0, 1.0)
    # The mean of two losses is 2.
    assert weighting.current_weights.tolist() == pytest.approx([2 / (2 * 4), before[1], 2 / 2])
    observe(weighting, 0.0, 0.0, 0.0)
    assert weighting.current_weights.isfinite().all()
