from functools import partial

import numpy as np
import pytest
import torch

from lightning_pose.weightings import UncertaintyWeighting
from tests.batches import make_batch
from tests.weightings.test_contract import build, step_of


def make(*names):
    weighting = UncertaintyWeighting()
    weighting.build(names)
    return weighting


def test_the_total_is_that_of_the_paper():
    weighting = make("mask", "joints")
    deviations = torch.tensor([0.5, 2.0])
    weighting.log_variances.data = 2 * deviations.log()
    losses = {"joints": torch.tensor(6.0), "mask": torch.tensor(3.0)}
    expected = 3 / (2 * 0.5**2) + np.log(0.5) + 6 / (2 * 2.0**2) + np.log(2.0)
    assert weighting(losses).item() == pytest.approx(expected)
    assert weighting.head_weights() == pytest.approx({"mask": 2.0, "joints": 0.125})


def test_two_tasks_that_share_a_number_reach_the_optimum():
    # With the best variances, L1 L2 is minimised: for L1 = x^2 + 1 and L2 = 4 (x - 1)^2 + 1, its
    # derivative is twice this polynomial.
    (best,) = (root.real for root in np.roots([8, -12, 9, -4]) if abs(root.imag) < 1e-9)
    weighting = make("one", "two")
    x = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([x, *weighting.parameters()], lr=0.1)
    for _ in range(600):
        losses = {"one": x**2 + 1, "two": 4 * (x - 1) ** 2 + 1}
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    assert x.item() == pytest.approx(best, abs=1e-4)
    assert best != pytest.approx(0.8, abs=0.01), "not the optimum of the plain sum"
    variances = weighting.log_variances.exp().tolist()
    assert variances == pytest.approx([losses["one"].item(), losses["two"].item()], rel=1e-3)


def test_a_head_without_labels_keeps_its_variance():
    module = build("uncertainty")
    weighting = module.weighting
    batch = make_batch(2)
    batch.mask[:] = -1
    step = step_of(module, batch)
    weighting.observe(step)
    weighting(step.losses).backward()
    gradients = dict(zip(weighting.head_names, weighting.log_variances.grad.tolist(), strict=True))
    assert gradients.pop("mask") == 0
    assert all(gradients.values())


def test_a_label_in_another_process_is_enough_to_learn_the_variance():
    module = build("uncertainty")
    batch = make_batch(2)
    batch.mask[:] = -1
    step = step_of(module, batch)
    step.mean = lambda losses: losses + 1.0
    module.weighting.observe(step)
    assert module.weighting.labelled.all()


def test_the_variances_get_no_weight_decay():
    module = build("uncertainty")
    module.optimizer = partial(torch.optim.AdamW, lr=0.05, weight_decay=0.5)
    network, learnt = module.configure_optimizers().param_groups
    assert (network["weight_decay"], learnt["weight_decay"]) == (0.5, 0)
    assert learnt["params"] == [module.weighting.log_variances]
