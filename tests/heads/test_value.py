import math

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.errors import ConfigError
from lightning_pose.heads import ValueHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import LABELS, make_batch, training_step


def model(head):
    torch.manual_seed(0)
    return PoseModule(UNet(width=4), {"height": head}, LSP14, InputSpec((64, 64)), LABELS)


def test_the_loss_is_the_absolute_error_in_standard_deviations():
    head = ValueHead("height", mean=170.0, std=8.0)
    batch = make_batch(4)
    batch.labels["height"] = torch.tensor([170.0, torch.nan, 178.0, 150.0])
    output = torch.zeros(4, requires_grad=True)
    terms = head.loss(output, head.encode(batch, output))
    assert terms.mean().item() == pytest.approx((0 + 1 + 2.5) / 3)
    assert terms.weight.item() == 3
    terms.mean().backward()
    assert output.grad.isfinite().all()
    assert output.grad[1] == 0


def test_decoding_undoes_encoding():
    head = ValueHead("height", mean=-3.0, std=0.2)
    batch = make_batch(4)
    target = head.encode(batch, torch.zeros(4)).value
    torch.testing.assert_close(head.decode(target, (64, 64)).value, batch.labels["height"])


def test_another_unit_changes_the_prediction_and_neither_the_loss_nor_the_gradient():
    batch = make_batch(4)
    found = []
    for unit in (1.0, 0.01):
        module = model(ValueHead("height", mean=165.0 * unit, std=5.0 * unit)).eval()
        batch.labels["height"] = unit * torch.tensor([160.0, 161.0, 170.0, 150.0])
        loss = training_step(module, batch)
        (gradient,) = torch.autograd.grad(loss, module.heads["height"].layers.last.weight)
        value = module.predict(batch.image)["height"].value / unit
        found.append((loss.detach(), gradient, value))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_it_learns_the_numbers_of_a_few_people_from_a_rough_mean():
    module = model(ValueHead("height", mean=150.0, std=20.0, feature_map="dense", hidden=16))
    batch = make_batch(3)
    batch.image[1] = 255 - batch.image[1]
    batch.image[2] = batch.image[2] // 3
    batch.labels["height"] = torch.tensor([160.0, 190.0, 172.0])
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    first = training_step(module, batch)
    for _ in range(120):
        loss = training_step(module, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.25 * first


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            lambda: ValueHead("weight", 70.0, 15.0),
            r"a number in the data, found 'weight', which is",
        ),
        (
            lambda: ValueHead("activity", 0.0, 1.0),
            r"found 'activity', which is one with classes: u",
        ),
        (lambda: ValueHead("height", 170.0, 0.0), r"std above 0, found 170.0 and 0.0; give about"),
        (lambda: ValueHead("height", math.nan, 1.0), r"mean as a finite number .*, found nan"),
        (lambda: ValueHead("height", 170.0, 10.0, hidden=0), r"ValueHead.hidden of 1 or more"),
    ],
)
def test_bad_settings_are_refused(head, message):
    with pytest.raises(ConfigError, match=message):
        model(head())
