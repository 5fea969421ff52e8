"""The L1 penalty is the gradient of the summed absolute weights, whatever else the trainer does."""

import copy
import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_pose.backbones.harmonic import HarmonicConvolution
from lightning_pose.callbacks import L1Penalty
from lightning_pose.errors import ConfigError
from tests.callbacks.model import make_trainer


class Regression(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def error(self, x: Tensor) -> Tensor:
        return (self.layers(x) - x.sum(dim=1, keepdim=True)).square().mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.error(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(model: pl.LightningModule, batches: list[Tensor], **settings: object) -> None:
    trainer = make_trainer(
        L1Penalty(0.03), enable_checkpointing=False, log_every_n_steps=1, **settings
    )
    trainer.fit(model, DataLoader(batches, batch_size=None))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_step_is_that_of_the_penalised_loss(accumulated: int) -> None:
    model, batches = Regression(), [torch.randn(6, 3) for _ in range(accumulated)]
    plain = copy.deepcopy(model)
    train(model, batches, max_steps=1, accumulate_grad_batches=accumulated)
    loss = torch.stack([plain.error(batch) for batch in batches]).mean()
    penalty = sum(plain.layers[place].weight.abs().sum() for place in (0, 2))
    (loss + 0.03 * penalty).backward()
    for found, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.detach(), expected.detach() - 0.1 * expected.grad)


class Rotated(Regression):
    """A harmonic convolution, which has profiles and phases."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = HarmonicConvolution(before=1, after=2, orders=(0,))

    def error(self, x: Tensor) -> Tensor:
        return self.layers(x).square().mean()


def test_angles_are_not_pulled_towards_0() -> None:
    model, batch = Rotated(), torch.randn(2, 2, 6, 6)
    plain = copy.deepcopy(model)
    train(model, [batch], max_steps=1)
    filters = plain.layers.filters
    (plain.error(batch) + 0.03 * sum(one.profile.abs().sum() for one in filters)).backward()
    for (name, found), expected in zip(model.named_parameters(), plain.parameters(), strict=True):
        after = expected.detach() - 0.1 * expected.grad
        torch.testing.assert_close(found.detach(), after, msg=lambda text, at=name: f"{at}: {text}")


def test_clipping_counts_the_penalty() -> None:
    model, batch = Regression(), torch.randn(6, 3)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    train(model, [batch], max_steps=1, gradient_clip_val=0.001)
    moved = nn.utils.parameters_to_vector(model.parameters()).detach() - before
    assert moved.norm() == pytest.approx(0.1 * 0.001, rel=1e-2)


@pytest.mark.parametrize("strength", [0.0, -1e-5, math.inf, math.nan])
def test_a_strength_that_does_nothing_good_is_refused(strength: float) -> None:
    with pytest.raises(ConfigError, match=f"strength above 0, found {strength}"):
        L1Penalty(strength)


@pytest.mark.parametrize(("fused", "scaler"), [(True, object()), (True, None), (False, object())])
def test_gradients_that_are_still_scaled_are_refused(
    fused: bool, scaler: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    monkeypatch.setattr(pl.Trainer, "precision_plugin", SimpleNamespace(scaler=scaler))
    trainer = make_trainer()
    weight = model.layers[0].weight
    if fused and scaler is not None:
        with pytest.raises(ConfigError, match=r"not fused for an L1 penalty .* a fused SGD"):
            L1Penalty(0.5).on_before_optimizer_step(trainer, model, optimizer)
        assert not weight.grad.any()
    else:
        L1Penalty(0.5).on_before_optimizer_step(trainer, model, optimizer)
        assert torch.equal(weight.grad, 0.5 * weight.detach().sign())
