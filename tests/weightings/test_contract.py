"""The contract of every weighting; a new one adds one row here."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_pose import parts, weightings
from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch, collate
from lightning_pose.errors import ConfigError, DivergedError
from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.losses.terms import over_processes
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import TrainingStep, Weighting
from tests.batches import make_batch, make_sample

WEIGHTINGS: dict[str, Callable[[], Weighting]] = {
    "fixed": weightings.FixedWeighting,
    "fixed_unequal": lambda: weightings.FixedWeighting({"mask": 0.25, "heatmap": 3.0}),
    "uncertainty": weightings.UncertaintyWeighting,
    # Within a few steps the losses hardly fall; at this temperature the weights still differ.
    "dynamic_weight_average": lambda: weightings.DynamicWeightAverageWeighting(temperature=0.1),
    # The shares differ after a few steps.
    "famo": lambda: weightings.FAMOWeighting(lr=0.1),
    "random": weightings.RandomWeighting,
    "geometric_mean": weightings.GeometricMeanWeighting,
    "grad_norm": weightings.GradNormWeighting,
    "mgda": lambda: weightings.TorchJDWeighting("MGDA"),
    "pcgrad": lambda: weightings.TorchJDWeighting("PCGrad"),
    "upgrad": lambda: weightings.TorchJDWeighting("UPGrad"),
}


def test_every_weighting_has_a_row() -> None:
    exported = [getattr(weightings, name) for name in weightings.__all__]
    ours = {w for w in exported if isinstance(w, type) and issubclass(w, Weighting)} - {Weighting}
    assert ours <= {type(make()) for make in WEIGHTINGS.values()}


every_weighting = pytest.mark.parametrize("name", list(WEIGHTINGS))


def build(name: str) -> PoseModule:
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": HeatmapHead(), "coordinates": RegressionHead()}
    # Without batch norm and dropout, so that a process's features are those of the whole batch.
    backbone = UNet(width=4, dropout=0.0, batch_norm=False)
    return PoseModule(backbone, heads, LSP14, InputSpec((64, 64)), weighting=WEIGHTINGS[name]())


def step_of(
    module: PoseModule, batch: Batch, number: int = 0, freeze_deep: bool = False
) -> TrainingStep:
    features = module.network.features(batch.image)
    if freeze_deep:
        features = replace(features, deep=features.deep.detach())
    views = {name: features.view() for name in module.heads}
    outputs = {name: head(views[name]) for name, head in module.heads.items()}
    losses, _ = over_processes(module.network.losses(outputs, batch), lambda table: table)
    return TrainingStep(losses, views, number, 0, lambda value: value)


def test_a_map_of_frozen_layers_has_no_gradient() -> None:
    module = build("fixed")
    free = step_of(module, make_batch(2)).gradients()
    frozen = step_of(module, make_batch(2), freeze_deep=True).gradients()
    for name in module.heads:
        assert torch.equal(free[name][0], frozen[name][0])
        assert not frozen[name][1].any()
    assert free["coordinates"][1].any()


@every_weighting
def test_the_total_has_a_gradient_for_every_head_and_the_backbone(name: str) -> None:
    module = build(name)
    step = step_of(module, make_batch(2))
    module.weighting.observe(step)
    total = module.weighting(step.losses)
    total.backward()
    assert total.shape == ()
    assert total.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in module.network.parameters())
    for head in module.heads.values():
        assert any(parameter.grad.any() for parameter in head.parameters())
    assert any(parameter.grad.any() for parameter in module.network.backbone.parameters())


@every_weighting
def test_combining_losses_changes_no_state(name: str) -> None:
    module = build(name)
    step = step_of(module, make_batch(2))
    module.weighting.observe(step)
    before = {key: value.clone() for key, value in module.weighting.state_dict().items()}
    first = module.weighting(step.losses)
    assert torch.equal(module.weighting(step.losses), first)
    for key, value in module.weighting.state_dict().items():
        assert torch.equal(value, before[key])


@every_weighting
def test_every_head_has_a_weight_of_0_or_more(name: str) -> None:
    module = build(name)
    module.weighting.observe(step_of(module, make_batch(2)))
    weights = module.weighting.head_weights()
    assert set(weights) == set(module.heads)
    assert all(0 <= float(weight) < float("inf") for weight in weights.values())


@every_weighting
def test_the_order_of_the_heads_does_not_matter(name: str) -> None:
    module = build(name)
    step = step_of(module, make_batch(2))
    module.weighting.observe(step)
    backwards = dict(reversed(step.losses.items()))
    torch.testing.assert_close(module.weighting(backwards), module.weighting(step.losses))


@every_weighting
def test_processes_get_the_weights_of_one_process_that_has_everybody(name: str) -> None:
    batch = make_batch(4)
    batch.mask[2:] = -1  # Masks in one process only.
    whole = build(name)
    whole.weighting.observe(step_of(whole, batch))

    shares = [batch._select(places, (64, 64)) for places in ([0, 1], [2, 3])]
    modules = [build(name) for _ in shares]
    tables = []
    for module, share in zip(modules, shares, strict=True):
        terms = module.network.losses(module(share.image), share)
        over_processes(terms, lambda table: tables.append(table) or table)
    mean_table = torch.stack(tables).mean(dim=0)
    steps = []
    for module, share in zip(modules, shares, strict=True):
        step = step_of(module, share)
        terms = module.network.losses(
            {n: head(step.features[n]) for n, head in module.heads.items()}, share
        )
        losses, _ = over_processes(terms, lambda _: mean_table)
        steps.append(replace(step, losses=losses, processes=2))
    # Whatever each process asks the mean of is averaged over both, call by call.
    asked: list[list[torch.Tensor]] = [[], []]
    for module, step, calls in zip(modules, steps, asked, strict=True):
        record = replace(step, mean=lambda value, calls=calls: calls.append(value) or value)
        module.weighting.observe(record)
    for module, step in zip([build(name) for _ in shares], steps, strict=True):
        means = iter([torch.stack(pair).mean(dim=0) for pair in zip(*asked, strict=True)])
        module.weighting.observe(replace(step, mean=lambda _, means=means: next(means)))
        # All state, such as the sums of an epoch: some weights do not change in the first step.
        found = dict(module.weighting.named_buffers())
        assert found.keys() == dict(whole.weighting.named_buffers()).keys()
        for key, value in whole.weighting.named_buffers():
            torch.testing.assert_close(found[key], value, rtol=0.02, atol=1e-3, msg=key)


@every_weighting
def test_a_head_without_a_label_does_no_harm(name: str) -> None:
    module = build(name)
    batch = make_batch(2)
    batch.mask[:] = -1
    for number in range(2):
        step = step_of(module, batch, number)
        module.weighting.observe(step)
        total = module.weighting(step.losses)
        total.backward()
        assert total.isfinite()
    assert all(float(weight) < float("inf") for weight in module.weighting.head_weights().values())


@every_weighting
def test_it_comes_back_from_its_description_and_its_state(name: str) -> None:
    module = build(name)
    step = step_of(module, make_batch(2))
    module.weighting.observe(step)
    again = parts.rebuild(parts.describe(module.weighting), Weighting)
    again.build(list(module.heads))
    again.load_state_dict(module.weighting.state_dict())
    torch.testing.assert_close(again(step.losses), module.weighting(step.losses))


@every_weighting
def test_every_step_logs_the_weights_that_it_uses(name: str) -> None:
    module = build(name)
    logged = {}
    module.log = lambda key, value, **_: logged.__setitem__(key, value)
    for seed in (0, 2):
        module.training_step(make_batch(2, seed=seed), 0)
        weights = module.weighting.head_weights()
        found = {key: value for key, value in logged.items() if key.startswith("weight/")}
        expected = {f"weight/{head}": float(weight) for head, weight in weights.items()}
        assert found == pytest.approx(expected)


@every_weighting
def test_a_validation_changes_no_weight(name: str) -> None:
    module = build(name)
    module.log = lambda *_, **__: None
    module.training_step(make_batch(2), 0)
    before = {key: value.clone() for key, value in module.weighting.state_dict().items()}
    module.eval()
    with torch.no_grad():
        module.on_validation_start()
        module.validation_step(make_batch(2, seed=5), 0)
        module.on_validation_epoch_end()
    for key, value in module.weighting.state_dict().items():
        assert torch.equal(value, before[key])


@every_weighting
def test_a_nan_loss_stops_the_training_and_names_the_head(name: str) -> None:
    module = build(name)
    module.log = lambda *_, **__: None
    module.training_step(make_batch(2), 0)
    for parameter in module.heads["coordinates"].parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    with pytest.raises(DivergedError, match="NaN or infinity in coordinates at step 0"):
        module.training_step(make_batch(2), 0)


def fit(module: PoseModule, batches: list[Batch], **settings: object) -> pl.Trainer:
    module.optimizer = partial(torch.optim.SGD, lr=settings.pop("lr", 0.05))
    path = settings.pop("ckpt_path", None)
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "logger": False}
    trainer = pl.Trainer(
        accelerator="cpu", enable_model_summary=False, limit_val_batches=0, **quiet, **settings
    )
    loader = DataLoader(batches, batch_size=None)
    trainer.fit(module, loader, loader, ckpt_path=path, weights_only=True)
    return trainer


@every_weighting
def test_two_batches_accumulated_are_a_step_with_the_mean_of_their_gradients(name: str) -> None:
    batches = [make_batch(2), make_batch(2, seed=2)]
    module = build(name)
    accumulated = {"max_steps": 1, "accumulate_grad_batches": 2}
    if module.weighting.judges_steps:
        with pytest.raises(ConfigError, match=r"Expected accumulate_grad_batches 1 with FAMO.* 2;"):
            fit(module, batches, **accumulated)
        return
    fit(module, batches, **accumulated)
    by_hand = build(name)
    by_hand.log = lambda *_, **__: None
    by_hand.optimizer = partial(torch.optim.SGD, lr=0.05)
    optimizer = by_hand.configure_optimizers()
    for batch in batches:
        (by_hand.training_step(batch, 0) / 2).backward()
    optimizer.step()
    start = build(name).state_dict()
    found = module.state_dict()
    for key, value in by_hand.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=key)
    for head in module.heads:
        keys = [key for key in found if key.startswith(f"network.heads.{head}.")]
        assert any(not torch.equal(found[key], start[key]) for key in keys)


@every_weighting
def test_a_run_goes_on_from_its_checkpoint_with_the_same_weights(name: str) -> None:
    batches = [collate([make_sample(seed), make_sample(seed + 1)]) for seed in (0, 2)]
    whole, part, resumed = build(name), build(name), build(name)
    accumulated = 1 if whole.weighting.judges_steps else 2
    mixed = {"precision": "bf16-mixed", "accumulate_grad_batches": accumulated}
    fit(whole, batches, max_epochs=3, **mixed)
    with TemporaryDirectory() as folder:
        path = Path(folder, "last.ckpt")
        fit(part, batches, max_epochs=2, **mixed).save_checkpoint(path)
        package = type(part.weighting).__module__.split(".")[0]
        loaded = PoseModule.load_from_checkpoint(path, allow=[package])
        for key, value in part.weighting.state_dict().items():
            assert torch.equal(loaded.weighting.state_dict()[key], value)
        fit(resumed, batches, max_epochs=3, ckpt_path=path, **mixed)
    assert whole.weighting.state_dict().keys() == resumed.weighting.state_dict().keys()
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value, rtol=1e-3, atol=1e-4)
