"""Each loss against a plain implementation in numpy, and what a weight of 0 means."""

import numpy as np
import pytest
import torch

from lightning_pose.losses import (
    LossTerms,
    heatmap_squared_error,
    joint_cross_entropy,
    mean_absolute_error,
    mean_squared_error,
    soft_dice,
    spatial_cross_entropy,
    weighted_sum,
)


def map_case():
    output = torch.randn(2, 3, 4, 5)
    target = torch.rand(2, 3, 4, 5)
    weight = torch.ones(2, 3, 4, 5)
    weight[:, :, 3] = 0
    weight[0, 1] = 0
    target = target * (weight > 0)
    target = target / target.sum(dim=(2, 3), keepdim=True).clamp_min(1e-9)
    return output, target, weight


def label_case():
    weight = torch.ones(2, 4, 3, 5)
    weight[:, :, :, 4] = 0
    weight[0, 2] = 0
    target = torch.randint(0, 4, (2, 3, 5))
    target[0][target[0] == 2] = 0
    return torch.randn(2, 4, 3, 5), target, weight


def share_case():
    """Shares of classes: the background has 1, a joint less, and nothing is added."""
    output, labels, weight = label_case()
    height = torch.rand(2, 1, 3, 5).where(labels[:, None] > 0, 1.0)
    return output, torch.nn.functional.one_hot(labels, 4).movedim(-1, 1) * height, weight


def plain_cross_entropy(output, target, weight):
    return joint_cross_entropy(output, target, weight, balanced=False)


def dice_case():
    weight = torch.rand(3, 4, 5)
    weight[:, 0] = 0
    weight[1] = 0
    return torch.rand(3, 4, 5), torch.rand(3, 4, 5), weight


def coordinate_case():
    return torch.randn(2, 4, 2), torch.randn(2, 4, 2), (torch.rand(2, 4, 1) < 0.6).float()


def squared_by_loops(output, target, weight):
    maps = [
        (weight[map_] * (output[map_] - target[map_]) ** 2).sum()
        for map_ in np.ndindex(output.shape[:2])
        if weight[map_].any()
    ]
    return np.mean(maps)


def spatial_by_loops(output, target, weight):
    entropies = []
    for map_ in np.ndindex(output.shape[:2]):
        known = weight[map_] > 0
        if known.any():
            logits = output[map_][known]
            log = logits - np.log(np.exp(logits).sum())
            entropies.append(-(target[map_][known] * log).sum())
    return np.mean(entropies)


def labels_by_loops(output, target, weight):
    costs = {False: [], True: []}
    for person, row, column in np.ndindex(target.shape):
        allowed = weight[person, :, row, column] > 0
        if allowed[0]:
            logits = output[person, :, row, column]
            label = target[person, row, column]
            cost = np.log(np.exp(logits[allowed]).sum()) - logits[label]
            costs[bool(label > 0)].append(cost)
    return (np.mean(costs[True]) + np.mean(costs[False])) / 2


def plain_by_loops(output, target, weight):
    costs = []
    for person, row, column in np.ndindex(output[:, 0].shape):
        allowed = weight[person, :, row, column] > 0
        if allowed[0]:
            logits, shares = output[person, :, row, column], target[person, :, row, column]
            log = logits - np.log(np.exp(logits[allowed]).sum())
            costs.append(-(shares * log)[allowed].sum())
    return np.mean(costs)


def shares_by_loops(output, target, weight):
    labels = target.argmax(axis=1)
    parts = [plain_by_loops(output, target, weight * kind[:, None])
             for kind in (labels > 0, labels == 0)]  # fmt: skip
    return np.mean(parts)


def dice_by_loops(output, target, weight):
    losses = []
    for p, t, w in zip(output, target, weight, strict=True):
        if w.any():
            both, squares = 2 * (w * p * t).sum(), (w * p**2).sum() + (w * t**2).sum()
            losses.append(1 - (both + 1) / (squares + 1))
    return np.mean(losses)


def absolute_by_loops(output, target, weight):
    labelled = weight[..., 0] > 0
    return np.abs(output[labelled] - target[labelled]).mean()


def squares_by_loops(output, target, weight):
    labelled = weight[..., 0] > 0
    return ((output[labelled] - target[labelled]) ** 2).mean()


CASES = [
    pytest.param(loss, reference, case, id=f"{loss.__name__}-{case.__name__}")
    for loss, reference, case in (
        (heatmap_squared_error, squared_by_loops, map_case),
        (spatial_cross_entropy, spatial_by_loops, map_case),
        (joint_cross_entropy, labels_by_loops, label_case),
        (joint_cross_entropy, shares_by_loops, share_case),
        (plain_cross_entropy, plain_by_loops, share_case),
        (soft_dice, dice_by_loops, dice_case),
        (mean_absolute_error, absolute_by_loops, coordinate_case),
        (mean_squared_error, squares_by_loops, coordinate_case),
    )
]
every_loss = pytest.mark.parametrize(("loss", "reference", "case"), CASES)


@every_loss
def test_it_is_its_definition(loss, reference, case):
    tensors = case()
    expected = reference(*(tensor.numpy() for tensor in tensors))
    assert float(loss(*tensors).mean()) == pytest.approx(expected, rel=1e-5)


@every_loss
def test_it_is_computed_in_float32_from_a_bfloat16_output(loss, reference, case):
    output, target, weight = case()
    half = output.bfloat16()
    value = loss(half, target, weight)
    assert value.sum.dtype == value.weight.dtype == torch.float32
    assert torch.equal(value.mean(), loss(half.float(), target, weight).mean())


@every_loss
def test_neither_value_nor_gradient_depends_on_what_has_no_weight(loss, reference, case):
    output, target, weight = case()
    unknown = (weight == 0).expand_as(output)
    assert unknown.any()
    output.requires_grad_()
    value = loss(output, target, weight).mean()
    value.backward()
    assert output.grad.isfinite().all()
    assert output.grad.any()
    assert not output.grad[unknown].any()
    other = loss(output.detach() + 50 * unknown, target, weight).mean()
    torch.testing.assert_close(other, value.detach())


@every_loss
def test_without_any_weight_it_is_zero_and_so_is_its_gradient(loss, reference, case):
    output, target, weight = case()
    output.requires_grad_()
    # A factor as large as a loss that is summed over many joints may have.
    value = loss(output, target, torch.zeros_like(weight)).times(100.0).mean()
    value.backward()
    assert value.item() == 0
    assert not output.grad.any()


@every_loss
def test_its_gradient_is_that_of_its_values(loss, reference, case):
    output, target, weight = case()
    output.requires_grad_()
    loss(output, target, weight).mean().backward()
    step = 1e-2 * torch.randn_like(output)
    before, after = (loss(output.detach() + sign * step, target, weight).mean() for sign in (-1, 1))
    slope = 2 * float((output.grad * step).sum())
    assert float(after - before) == pytest.approx(slope, abs=1e-4, rel=0.02)


def test_soft_dice_has_its_least_value_where_the_output_is_a_fractional_target():
    target = torch.rand(1, 6, 6)
    output = target.clone().requires_grad_()
    loss = soft_dice(output, target, torch.ones(1, 6, 6)).mean()
    loss.backward()
    assert loss.item() == 0
    assert output.grad.abs().max() < 1e-6


def test_two_empty_masks_agree_and_a_false_person_costs():
    empty, full, weight = torch.zeros(1, 8, 8), torch.ones(1, 8, 8), torch.ones(1, 8, 8)
    assert soft_dice(empty, empty, weight).mean() == 0
    assert soft_dice(full, empty, weight).mean() > 0.9
    assert soft_dice(empty, full, weight).mean() > 0.9


def test_labels_are_shares_of_1():
    output, labels, weight = label_case()
    shares = torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
    for loss in (joint_cross_entropy, plain_cross_entropy):
        torch.testing.assert_close(loss(output, shares, weight), loss(output, labels, weight))


def test_a_weighted_sum_broadcasts_its_weight():
    values = torch.tensor([[1.0, 2.0], [30.0, 40.0]])
    assert weighted_sum(values, torch.tensor([[1.0], [0.0]])).mean() == 1.5
    assert weighted_sum(values, torch.tensor([[0.5], [0.5]])).mean() == values.mean()


@every_loss
def test_sums_and_weights_add_up_over_any_split_of_the_batch(loss, reference, case):
    output, target, weight = case()
    whole = loss(output, target, weight)
    parts = [
        loss(output[n : n + 1], target[n : n + 1], weight[n : n + 1]) for n in range(len(output))
    ]
    total = LossTerms(sum(part.sum for part in parts), sum(part.weight for part in parts))
    torch.testing.assert_close(total.mean(), whole.mean())
