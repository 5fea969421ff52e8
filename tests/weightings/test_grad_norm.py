import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.weightings import GradNormWeighting
from tests.weightings.steps import make_step

NORMS = torch.tensor([3.0, 0.5, 1.0])


def make(alpha, first=(1.0, 1.0, 1.0)):
    weighting = GradNormWeighting(alpha)
    weighting.build(["a", "b", "c"])
    weighting.observe(step(losses=first))
    return weighting


def step(norms=NORMS, losses=(1.0, 1.0, 1.0)):
    return make_step(losses, torch.as_tensor(norms).diag())


def learn(weighting, **now):
    """Let the optimiser learn the weights, with losses that have no gradient of their own."""
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.1)
    for number in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - number / 300) ** 2
        weighting.observe(step(**now))
        optimizer.zero_grad()
        weighting(dict.fromkeys(weighting.head_names, torch.tensor(1.0))).backward()
        optimizer.step()
    return weighting.head_weights()


def test_without_asymmetry_the_weighted_norms_become_equal():
    weights = torch.stack(list(learn(make(alpha=0.0)).values()))
    expected = 3 / NORMS / (1 / NORMS).sum()
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-3)


def test_heads_that_lag_behind_have_larger_norms():
    losses = (0.2, 0.6, 0.4)
    weights = torch.stack(list(learn(make(alpha=1.0), losses=losses).values()))
    norms = weights * NORMS
    # With this alpha the targets add up to n times their mean, so that all can be reached.
    lag = torch.tensor(losses) / torch.tensor(losses).mean()
    torch.testing.assert_close(norms / norms.mean(), lag, rtol=0.01, atol=0)
    assert weights.sum().item() == pytest.approx(3)


def test_the_gradient_is_that_of_the_published_loss():
    weighting = make(alpha=1.5, first=(2.0, 1.0, 4.0))
    weighting.logits.data = torch.tensor([0.3, -0.2, 0.5])
    losses = (1.0, 0.9, 0.4)
    # The last norm lies between its targets for an alpha of 1 and of 1.5.
    gradients = torch.tensor([3.0, 0.5, 0.15])
    weighting.observe(step(gradients, losses))
    heads = [torch.tensor(loss, requires_grad=True) for loss in losses]
    total = weighting(dict(zip(weighting.head_names, heads, strict=True)))
    total.backward()

    logits = torch.tensor([0.3, -0.2, 0.5], requires_grad=True)
    weights = 3 * torch.exp(logits) / torch.exp(logits).sum()
    norms = weights * gradients
    ratio = torch.tensor(losses) / torch.tensor([2.0, 1.0, 4.0])
    target = (norms.mean() * (ratio / ratio.mean()) ** 1.5).detach()
    ((norms - target).abs().sum() / norms.mean().detach()).backward()
    torch.testing.assert_close(weighting.logits.grad, logits.grad)
    # The network sees constant weights.
    assert [head.grad.item() for head in heads] == pytest.approx(weights.tolist())
    assert total.item() == pytest.approx((weights * torch.tensor(losses)).sum().item())


def test_a_head_without_a_gradient_takes_no_part():
    weighting = make(alpha=0.0)
    weights = learn(weighting, norms=[3.0, 0.0, 1.0])
    assert weights["c"] / weights["a"] == pytest.approx(3, rel=1e-2)
    weighting.observe(step(norms=[0.0, 0.0, 0.0]))
    assert weighting.slopes.tolist() == [0, 0, 0]


def test_a_gradient_that_is_not_finite_takes_no_part(monkeypatch):
    weighting = make(alpha=0.0)
    overflown = step()
    monkeypatch.setattr(overflown, "gramian", lambda: torch.tensor([9.0, torch.inf, 1.0]).diag())
    weighting.observe(overflown)
    found = weighting.slopes.clone()
    weighting.observe(step(norms=[3.0, 0.0, 1.0]))
    assert torch.equal(found, weighting.slopes)
    assert found[[0, 2]].all()


def test_the_first_loss_of_a_head_is_that_of_its_first_label():
    weighting = make(alpha=1.0, first=(2.0, 0.0, 1.0))
    weighting.observe(step(losses=(1.0, 3.0, 1.0)))
    assert weighting.first_losses.tolist() == [2, 3, 1]


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_a_bad_alpha_is_refused(alpha):
    with pytest.raises(ConfigError, match=f"alpha of 0 or more, found {alpha}"):
        GradNormWeighting(alpha)


def test_means_are_over_the_heads_that_take_part():
    weighting = make(alpha=1.0)
    # The mean of the norms 3 and 1 is 2, which both are to reach, for their losses are alike.
    weighting.observe(step(norms=[3.0, 0.0, 1.0], losses=(1.0, 5.0, 1.0)))
    assert weighting.slopes.tolist() == pytest.approx([1.5, 0, -0.5])
    # Of the losses 1 and 3, the lags are 0.5 and 1.5, so that the norms are to reach 1 and 3.
    weighting.observe(step(norms=[2.0, 0.0, 2.0], losses=(1.0, 5.0, 3.0)))
    assert weighting.slopes.tolist() == pytest.approx([1, 0, -1])
