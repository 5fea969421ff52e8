"""What the contract must support, tested with toy parts before the real ones are built."""

from dataclasses import replace
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch, collate
from lightning_pose.errors import ConfigError
from lightning_pose.heads import (
    AttentionLSTMHead,
    ClassHead,
    HeatmapHead,
    IntegralHead,
    MaskHead,
    RefinementHead,
    RegressionHead,
    SharedHeatmapHead,
    SoftmaxJointHead,
    ValueHead,
)
from lightning_pose.input_spec import InputSpec
from lightning_pose.losses.terms import LossTerms, over_processes
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import FixedWeighting, TrainingStep
from tests.batches import LABELS, make_batch, make_sample, training_step
from tests.test_contract import tensors
from tests.toy_parts import (
    AuxBackbone,
    OwnBackwardWeighting,
    TwoStageHead,
)

SIZE = (64, 64)
TOYS = {
    "recurrent": lambda: AttentionLSTMHead(hidden=8, attention=8),
    "cascade": lambda: RefinementHead(RegressionHead(hidden=8), 24.0, 16, 4),
    "shared_heatmap": SharedHeatmapHead,
    "two_stages": TwoStageHead,
}
HEIGHT = partial(ValueHead, "height", mean=160.0, std=10.0)
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def model(heads, input_spec=None, backbone=None, **settings):
    torch.manual_seed(0)
    backbone = AuxBackbone(width=4, dropout=0.0) if backbone is None else backbone
    spec = InputSpec(SIZE) if input_spec is None else input_spec
    return PoseModule(backbone, heads, LSP14, spec, LABELS, **settings)


def labelled_samples(count=4, sizes=(SIZE,)):
    """People with labels, every second of which is unknown."""
    samples = [make_sample(n, sizes[n % len(sizes)]) for n in range(count)]
    for number, sample in enumerate(samples):
        known = number % 2 == 0
        sample.annotation.labels = {
            "activity": number % 3 if known else -1,
            "height": 150.0 + number if known else float("nan"),
        }
    return samples


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("names", [[name] for name in TOYS] + [list(TOYS)], ids="+".join)
def test_a_toy_head_trains_predicts_and_comes_back_from_its_checkpoint(names, precision, tmp_path):
    module = model({name: TOYS[name]() for name in names})
    batch = collate(labelled_samples())
    with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
        total = training_step(module, batch)
        predictions = module.predict(batch.image)
    total.backward()
    assert total.isfinite()
    for parameter in module.parameters():
        assert parameter.grad.isfinite().all()
    for name, head in module.heads.items():
        assert predictions[name].fields() == list(head.fills)
        assert any(p.grad.any() for p in head.parameters())
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, tmp_path / "toy.ckpt")
    again = PoseModule.load_from_checkpoint(tmp_path / "toy.ckpt", allow=["tests"])
    assert again.labels == LABELS
    found = again.predict(batch.image)
    for name in names:
        for field in predictions[name].fields():
            ours = getattr(module.predict(batch.image)[name], field)
            torch.testing.assert_close(getattr(found[name], field), ours)


@pytest.mark.parametrize("name", list(TOYS))
def test_a_toy_head_is_fitted_by_the_trainer(name):
    module = model(
        {name: TOYS[name]()}, main_metric="loss", optimizer=partial(torch.optim.Adam, lr=0.01)
    )
    loader = DataLoader(labelled_samples(4), batch_size=4, collate_fn=collate)
    trainer = pl.Trainer(max_epochs=12, **QUIET)
    first = []
    usual = module.training_step

    def step(batch, batch_idx):
        total = usual(batch, batch_idx)
        first.append(float(total.detach()))
        return total

    module.training_step = step
    trainer.fit(module, loader, loader)
    assert trainer.callback_metrics["val/main"] == -trainer.callback_metrics["val/loss"]
    assert first[-1] < first[0]


def test_a_head_that_no_metric_judges_is_judged_by_its_loss():
    module = model({"map": SharedHeatmapHead()})
    loader = DataLoader(labelled_samples(4), batch_size=4, collate_fn=collate)
    trainer = pl.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, loader, loader)
    figures = trainer.callback_metrics
    assert figures["val/main"] == -figures["val/loss/map"] < 0


def test_unknown_labels_neither_teach_nor_weigh():
    module = model({"activity": ClassHead("activity"), "height": HEIGHT()}).eval()
    samples = labelled_samples(4)
    batch, known = collate(samples), collate(samples[::2])
    terms = module.network.losses(module(batch.image), batch)
    alone = module.network.losses(module(known.image), known)
    for name in terms:
        assert terms[name].weight.item() == 2
        torch.testing.assert_close(terms[name].mean(), alone[name].mean())
        output = module(batch.image)[name].detach().requires_grad_()
        head = module.heads[name]
        head.loss(output, head.encode(batch, output)).mean().backward()
        assert not output.grad[1::2].any()
        assert output.grad[::2].any()


@pytest.mark.parametrize("name", list(TOYS))
def test_the_flip_test_of_a_toy_head_is_the_same_for_the_mirrored_image(name):
    module = model({name: TOYS[name]()}).eval()
    batch = collate(labelled_samples(2))
    plain = module.predict(batch.image, flip=True)[name]
    mirrored = module.predict(batch.image.flip(3), flip=True)[name]
    if plain.keypoints is not None:
        x, y = mirrored.keypoints[:, LSP14.flip_order].unbind(dim=2)
        torch.testing.assert_close(
            plain.keypoints, torch.stack((63 - x, y), dim=2), atol=1e-3, rtol=1e-4
        )
    for field in ("heatmap", "attention"):
        if getattr(plain, field) is not None:
            torch.testing.assert_close(getattr(plain, field), getattr(mirrored, field).flip(3))


# Unequal image sizes in one batch.

SIZES = [(64, 64), (64, 48), (96, 64), (64, 48)]
EVERY_HEAD = {
    "mask": MaskHead,
    "joints": SoftmaxJointHead,
    "heatmap": HeatmapHead,
    "coordinates": RegressionHead,
    "mean": IntegralHead,
    "activity": partial(ClassHead, "activity", "dense", classifier="test_resnet"),
    "height": HEIGHT,
    **TOYS,
}


def evaluate(module, samples, batch_size):
    """Every metric, loss and prediction of a validation in batches of some size."""
    logged = {}
    module.log = lambda name, value, **_: logged.__setitem__(name, float(value))
    module.on_validation_start()
    people = {}
    with torch.no_grad():
        for start in range(0, len(samples), batch_size):
            batch = collate(samples[start : start + batch_size])
            outputs = module.validation_step(batch, 0)
            for name, judged in outputs["judged"].items():
                for field in judged.prediction.fields():
                    for row, person in enumerate(batch.person_id.tolist()):
                        value = getattr(judged.prediction, field)[row]
                        if value.dim() > 1 and field != "keypoints":
                            height, width = samples[person].image.shape[:2]
                            scale = batch.image.shape[2] // value.shape[-2]
                            value = value[..., : height // scale, : width // scale]
                        people[name, field, person] = value
        module.on_validation_epoch_end()
    return logged, people


def test_who_shares_a_batch_of_unequal_images_changes_no_figure_and_no_prediction():
    spec = InputSpec(size=None, short_side=64, multiple=16)
    module = model(
        {name: kind() for name, kind in EVERY_HEAD.items()}, spec, main_metric="loss"
    ).eval()
    samples = labelled_samples(6, SIZES)
    samples[3].annotation.visibility[:] = 0
    samples[3].visibility[:] = 0
    samples[4].mask[:] = -1
    alone, people_alone = evaluate(module, samples, 1)
    for batch_size in (2, 3, 6):
        figures, people = evaluate(module, samples, batch_size)
        assert figures == pytest.approx(alone, rel=1e-4, abs=1e-4)
        assert people.keys() == people_alone.keys()
        for key, value in people.items():
            torch.testing.assert_close(value, people_alone[key], rtol=1e-3, atol=1e-3, msg=str(key))
    assert {"val/loss/mask", "val/loss/height", "val/mask/Dice", "val/main"} <= alone.keys()


def test_padding_of_unequal_images_does_not_teach():
    spec = InputSpec(size=None, short_side=64, multiple=16)
    module = model({name: kind() for name, kind in EVERY_HEAD.items()}, spec)
    batch = collate(labelled_samples(4, SIZES))
    assert not batch.valid.all()
    features = module.network.features(batch.image, batch.valid)
    outputs = {name: head(features) for name, head in module.heads.items()}
    before = module.network.losses(outputs, batch)
    beyond = batch.mask.where(batch.valid, 1)
    after = module.network.losses(outputs, replace(batch, mask=beyond))
    for name in before:
        torch.testing.assert_close(after[name].mean(), before[name].mean())
    # Nor does what the maps say there, whether a head reads it or pools over it.
    far = {
        name: torch.zeros_like(value)
        for name, value in vars(features).items()
        if name in ("dense", "deep")
    }
    for person, (height, width) in enumerate(batch.input_size.tolist()):
        far["dense"][person, :, height:] = far["dense"][person, :, :, width:] = 9
        far["deep"][person, :, height // 16 :] = far["deep"][person, :, :, width // 16 :] = 9
    other = replace(features, dense=features.dense + far["dense"], deep=features.deep + far["deep"])
    pooled = ("coordinates", "recurrent", "mean", "activity", "height")
    for name in ("mask", "joints", "heatmap", "shared_heatmap", *pooled):
        head = module.heads[name]
        output = head(other)
        same = all(map(torch.equal, tensors(output), tensors(outputs[name])))
        assert not same or name in pooled
        found = head.loss(output, head.encode(batch, output)).mean()
        torch.testing.assert_close(found, before[name].mean(), msg=name)


# Losses with unequal labels.


def halves(batch: Batch) -> list[Batch]:
    """The shares of two processes: the masks and most joints are only in the first."""
    count = len(batch) // 2
    parts = [[*range(count)], [*range(count, len(batch))]]
    return [batch._select(places, (64, 64)) for places in parts]


def test_two_processes_with_unequal_labels_have_the_gradient_of_one():
    batch = make_batch(4)
    batch.mask[2:] = -1
    batch.visibility[2:, 3:] = 0
    heads = {"mask": MaskHead(), "joints": SoftmaxJointHead(), "heatmap": HeatmapHead()}
    # Without batch norm, whose statistics are per process.
    backbone = UNet(width=4, dropout=0.0, batch_norm=False)
    module = model({**heads, "coordinates": RegressionHead()}, backbone=backbone)

    def gradients(parts):
        module.zero_grad()
        terms = [module.network.losses(module(part.image), part) for part in parts]
        tables = []

        def mean(table):
            tables.append(table)
            return table

        for one in terms:
            over_processes(one, mean)
        total = torch.stack(tables).mean(dim=0)
        for one in terms:
            losses, _ = over_processes(one, lambda _: total)
            # DDP takes the mean of the processes' gradients.
            (module.weighting(losses) / len(parts)).backward(retain_graph=True)
        return [p.grad.clone() for p in module.parameters()]

    whole, shared = gradients([batch]), gradients(halves(batch))
    for one, two in zip(whole, shared, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    # The mean of each process's own means gives a different gradient.
    module.zero_grad()
    for part in halves(batch):
        losses = {n: t.mean() for n, t in module.network.losses(module(part.image), part).items()}
        (module.weighting(losses) / 2).backward()
    naive = [p.grad for p in module.parameters()]
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(whole, naive, strict=True))


def test_losses_of_a_validation_do_not_depend_on_the_batch_size():
    module = model(
        {"mask": MaskHead(), "joints": SoftmaxJointHead(), "heatmap": HeatmapHead()}
    ).eval()
    samples = [make_sample(n, SIZE) for n in range(33)]
    for sample in samples[2:]:
        sample.mask[:] = -1
    samples[1].visibility[4:] = 0
    figures = [evaluate(module, samples, size)[0] for size in (1, 7, 32)]
    assert figures[0] == pytest.approx(figures[2], rel=1e-5)
    assert figures[1] == pytest.approx(figures[2], rel=1e-5)


# Weightings.


def test_views_do_not_count_twice_what_one_map_owes_to_another():
    # The mask reads the dense map, which depends on the deep one; coordinates read the deep one.
    module = model({"mask": MaskHead(), "coordinates": RegressionHead()})
    batch = make_batch(2)
    features = module.network.features(batch.image)
    views = {name: features.view() for name in module.heads}
    outputs = {name: head(views[name]) for name, head in module.heads.items()}
    losses, _ = over_processes(module.network.losses(outputs, batch), lambda table: table)
    step = TrainingStep(losses, views, 0, 0, lambda value: value)
    found = step.gradients()
    assert found["mask"][0].any()
    assert not found["mask"][1].any()
    assert found["coordinates"][1].any()
    assert not found["coordinates"][0].any()
    scaled = replace(step, scale=1024.0).gradients()
    torch.testing.assert_close(scaled, found)


def test_a_backward_pass_of_its_own_is_used_and_refused_where_it_would_be_wrong(monkeypatch):
    loader = DataLoader([make_sample(n) for n in range(4)], batch_size=2, collate_fn=collate)

    def moved(weighting):
        sgd = partial(torch.optim.SGD, lr=0.1)
        module = model({"mask": MaskHead()}, weighting=weighting, optimizer=sgd)
        before = [p.detach().clone() for p in module.network.backbone.parameters()]
        pl.Trainer(max_steps=1, **QUIET).fit(module, loader, loader)
        after = module.network.backbone.parameters()
        return [b.detach() - a for a, b in zip(before, after, strict=True)]

    for usual, double in zip(moved(FixedWeighting()), moved(OwnBackwardWeighting()), strict=True):
        torch.testing.assert_close(double, 2 * usual, rtol=1e-2, atol=1e-6)
    module = model({"mask": MaskHead()}, weighting=OwnBackwardWeighting())
    with pytest.raises(ConfigError, match="accumulate_grad_batches 1 and no scaled losses"):
        pl.Trainer(max_steps=1, accumulate_grad_batches=2, **QUIET).fit(module, loader, loader)
    monkeypatch.setattr("lightning_pose.module.loss_scale", lambda trainer: 1024.0)
    with pytest.raises(ConfigError, match="OwnBackwardWeighting, whose backward pass is its own"):
        pl.Trainer(max_steps=1, **QUIET).fit(module, loader, loader)


def test_terms_without_a_label_are_zero_in_the_total_and_have_no_figure():
    module = model({"mask": MaskHead(), "heatmap": HeatmapHead()}).eval()
    samples = [make_sample(n) for n in range(3)]
    for sample in samples:
        sample.mask[:] = -1
    figures, _ = evaluate(module, samples, 2)
    assert "val/loss/mask" not in figures
    assert figures["val/loss"] == pytest.approx(figures["val/loss/heatmap"])
    empty = LossTerms(torch.tensor([0.0]), torch.tensor([0.0]))
    assert empty.mean() == 0
