import numpy as np
import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.weightings import DynamicWeightAverageWeighting
from tests.weightings.steps import make_step


def make(temperature=2.0):
    weighting = DynamicWeightAverageWeighting(temperature)
    weighting.build(["a", "b"])
    return weighting


def observe(weighting, epoch, *losses):
    weighting.observe(make_step(losses, epoch=epoch))
    return weighting.current_weights.tolist()


def test_the_weights_are_those_of_the_paper():
    weighting = make(temperature=0.5)
    assert observe(weighting, 0, 6.0, 1.0) == [1, 1]
    assert observe(weighting, 0, 2.0, 3.0) == [1, 1]
    assert observe(weighting, 1, 2.0, 1.0) == [1, 1]
    # Means of 4 and 2, then of 2 and 1.5, and after that of 1 and 1.5.
    assert observe(weighting, 1, 2.0, 2.0) == [1, 1]
    for epoch, rates in ((2, [2 / 4, 1.5 / 2]), (3, [1 / 2, 1.5 / 1.5])):
        powers = np.exp(np.array(rates) / 0.5)
        expected = 2 * powers / powers.sum()
        assert observe(weighting, epoch, 1.0, 1.5) == pytest.approx(expected.tolist())


def test_batches_without_labels_do_not_count_and_an_epoch_without_any_has_the_rate_1():
    weighting = make()
    for epoch, losses in enumerate([(4.0, 0.0), (2.0, 0.0), (2.0, 3.0)]):
        observe(weighting, epoch, *losses)
        observe(weighting, epoch, losses[0], 0.0)
    powers = np.exp([0.5 / 2, 1 / 2])
    assert weighting.current_weights.tolist() == pytest.approx((2 * powers / powers.sum()).tolist())
    observe(weighting, 3, 1.0, 1.0)
    assert weighting.current_weights.tolist() == [1, 1]
    assert weighting.last.tolist() == [2, 3]


def test_two_tasks_that_share_a_number_reach_the_optimum_of_their_sum():
    # As the losses level out, both rates become 1, and the weights equal.
    weighting = make()
    x = torch.tensor(5.0, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.02)
    seen = []
    for epoch in range(30):
        for _ in range(10):
            losses = {"a": (x - 1) ** 2 + 1, "b": 3 * (x + 1) ** 2 + 1}
            seen.append(observe(weighting, epoch, *(loss.item() for loss in losses.values())))
            optimizer.zero_grad()
            weighting(losses).backward()
            optimizer.step()
    assert x.item() == pytest.approx(-0.5, abs=1e-3)
    assert seen[-1] == pytest.approx([1, 1], abs=1e-3)
    assert max(seen)[0] > 1.05, "weights that change on the way"
    assert all(sum(weights) == pytest.approx(2) for weights in seen)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bad_temperature_is_refused(temperature):
    with pytest.raises(ConfigError, match=f"temperature above 0, found {temperature}"):
        DynamicWeightAverageWeighting(temperature)


def test_the_weights_of_three_heads_add_up_to_three():
    weighting = DynamicWeightAverageWeighting()
    weighting.build(["a", "b", "c"])
    for epoch, losses in enumerate([(4.0, 2.0, 1.0), (2.0, 2.0, 1.0), (1.0, 1.0, 1.0)]):
        weights = observe(weighting, epoch, *losses)
    powers = np.exp(np.array([0.5, 1.0, 1.0]) / 2)
    assert weights == pytest.approx((3 * powers / powers.sum()).tolist())
