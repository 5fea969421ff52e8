"""The mean of a loss is over all people, whatever the batches and processes."""

import math

import pytest
import torch

from lightning_pose.losses.terms import LossTerms
from lightning_pose.metrics import LossMean, losses


def terms(*pairs):
    sums, weights = zip(*pairs, strict=True)
    return LossTerms(torch.tensor(sums), torch.tensor(weights))


def test_it_is_the_sum_over_terms_of_sum_by_weight():
    loss = LossMean()
    assert loss.compute().isnan()
    loss.update(terms((6.0, 4.0), (1.0, 2.0)))
    loss.update(terms((2.0, 12.0), (5.0, 1.0)))
    assert loss.compute().item() == pytest.approx(8 / 16 + 6 / 3)
    loss.reset()
    loss.update(terms((3.0, 2.0)))
    assert loss.compute().item() == 1.5


def test_one_batch_is_the_mean_of_its_terms():
    batch = terms((6.0, 4.0), (0.0, 0.0), (3.0, 2.0))
    loss = LossMean()
    loss.update(batch)
    torch.testing.assert_close(loss.compute(), batch.mean())


def test_a_head_without_a_label_has_no_loss():
    loss = LossMean()
    loss.update(terms((0.0, 0.0), (0.0, 0.0)))
    assert loss.compute().isnan()
    loss.update(terms((3.0, 2.0), (0.0, 0.0)))
    assert loss.compute().item() == 1.5


def test_a_loss_that_diverged_is_not_hidden():
    loss = LossMean()
    loss.update(terms((1.0, 1.0), (math.inf, 1.0)))
    assert loss.compute().isinf()


@pytest.mark.parametrize("share", [[0, 3], [1, 2], []])
def test_two_processes_have_the_loss_of_one(share, monkeypatch):
    batches = [terms((float(n), 2.0 + n), (3.0, float(n % 2))) for n in range(5)]
    whole, processes = LossMean(), [LossMean(), LossMean()]
    for number, batch in enumerate(batches):
        whole.update(batch)
        processes[number in share].update(batch)
    for process in processes:
        # A process that saw nobody has states of a different length, which are gathered unchanged.
        states = [[each.sum for each in processes], [each.weight for each in processes]]
        gathered = iter(states)
        monkeypatch.setattr(losses, "gather_all_tensors", lambda *_, it=gathered: next(it))
        process.distributed_available_fn = lambda: True
        torch.testing.assert_close(process.compute(), whole.compute())


def test_it_keeps_no_graph():
    loss = LossMean()
    loss.update(LossTerms(torch.ones(1, requires_grad=True), torch.ones(1)))
    assert not loss.sum.requires_grad
    assert not loss.state_dict()


def test_many_small_batches_are_not_lost_in_a_large_sum():
    loss = LossMean()
    loss.update(terms((1e9, 1e9)))
    for _ in range(100):
        loss.update(terms((1.0, 0.0)))
    assert loss.sum.item() == 1e9 + 100
