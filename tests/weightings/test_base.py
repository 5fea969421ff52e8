import pytest
import torch

from lightning_pose.features import Features
from lightning_pose.weightings import TrainingStep, Weighting


def test_without_more_it_is_the_sum():
    weighting = Weighting()
    weighting.build(["mask", "joints"])
    assert weighting({"joints": torch.tensor(3.0), "mask": torch.tensor(4.0)}) == 7
    assert weighting.head_weights() == {"mask": 1, "joints": 1}
    weighting.current_weights = torch.tensor([0.5, 2.0])
    assert weighting({"joints": torch.tensor(3.0), "mask": torch.tensor(4.0)}) == 8


def make_step(requires_grad, **settings):
    dense = torch.arange(4.0).reshape(1, 1, 2, 2).requires_grad_(requires_grad)
    views = {name: Features(dense, dense).view() for name in ("one", "two")}
    scale = torch.tensor(2.0, requires_grad=True)
    losses = {"one": (views["one"].dense * scale).sum(), "two": scale * views["two"].deep.max()}
    return TrainingStep(losses, views, 0, 0, **settings)


def test_the_losses_over_all_processes_are_those_that_the_mean_returns():
    step = make_step(True, mean=lambda losses: losses / 2)
    assert step.overall().tolist() == [6, 3]
    assert not step.overall().requires_grad


def test_the_gramian_has_the_inner_products_at_each_map():
    step = make_step(True, mean=lambda matrix: matrix)
    # Heads on different maps have no product, even where the maps are one.
    assert step.gramian().tolist() == [[16, 0], [0, 4]]
    # Each process has its own people, and divides by the mean of the labels.
    together = make_step(True, mean=lambda matrix: matrix, processes=2)
    assert together.gramian().tolist() == [[8, 0], [0, 2]]


def test_features_of_a_frozen_backbone_have_no_gradients():
    step = make_step(False, mean=lambda matrix: matrix)
    assert not step.gramian().any()
    assert step.gradients()["one"][0].shape == (1, 1, 2, 2)


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_scale_changes_no_gradient(scale):
    step = make_step(True, mean=lambda matrix: matrix, scale=scale)
    assert step.gradients()["one"][0].tolist() == [[[[2, 2], [2, 2]]]]
    assert step.gramian().tolist() == [[16, 0], [0, 4]]


def test_the_scale_keeps_small_gradients_in_half_precision():
    dense = torch.zeros(1, 1, 2, 2, dtype=torch.float16, requires_grad=True)
    views = {"one": Features(dense, dense).view()}
    losses = {"one": (views["one"].dense.float() * 1e-8).sum()}
    kept = TrainingStep(losses, views, 0, 0, lambda value: value, scale=1024.0).gradients()
    torch.testing.assert_close(kept["one"][0], torch.full((1, 1, 2, 2), 1e-8), rtol=0.01, atol=0)
    lost = TrainingStep(losses, views, 0, 0, lambda value: value).gradients()
    assert not lost["one"][0].any(), "without it, they vanish"
