import logging
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch, collate
from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.errors import ConfigError, DataError, DivergedError, InputError
from lightning_pose.evaluation import Evaluation
from lightning_pose.heads import Head, HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.schedules import WarmupCosine
from lightning_pose.skeletons import LSP14
from lightning_pose.transfer import init_from
from lightning_pose.weightings import FixedWeighting, TrainingStep
from tests.batches import make_batch, make_sample, training_step

SIZE = (64, 64)


def all_heads() -> dict[str, Head]:
    return {
        "mask": MaskHead(),
        "joints": SoftmaxJointHead(),
        "heatmap": HeatmapHead(),
        "coordinates": RegressionHead(),
    }


def model(**settings: object) -> PoseModule:
    torch.manual_seed(0)
    arguments = {"backbone": UNet(width=4, dropout=0.0), "heads": all_heads(), **settings}
    return PoseModule(skeleton=LSP14, input_spec=InputSpec(SIZE), **arguments)


def test_uint8_and_float_pictures_are_the_same_picture() -> None:
    module = model().eval()
    image = make_batch().image
    whole, fraction = module(image), module(image.float() / 255)
    for name in whole:
        torch.testing.assert_close(whole[name], fraction[name])


def test_pictures_are_normalised_by_what_the_backbone_expects() -> None:
    class Wants(UNet):
        def __init__(self) -> None:
            super().__init__(width=4)
            self.mean, self.std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)

        def forward(self, image: Tensor) -> object:
            self.seen = image
            return super().forward(image)

    backbone = Wants()
    module = model(backbone=backbone).eval()
    module(torch.full((1, 3, *SIZE), 255, dtype=torch.uint8))
    expected = [(1 - 0.1) / 0.5, (1 - 0.2) / 0.25, (1 - 0.3) / 0.125]
    assert backbone.seen[0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_predictions_do_not_depend_on_who_else_is_in_the_batch() -> None:
    module = model().eval()
    batch = make_batch(4)
    together, alone = module.predict(batch.image), module.predict(batch.image[2:3])
    for name, prediction in alone.items():
        for field in ("keypoints", "mask"):
            value = getattr(prediction, field)
            if value is not None:
                torch.testing.assert_close(
                    getattr(together[name], field)[2:3], value, atol=1e-4, rtol=1e-4
                )


def test_weight_zero_keeps_a_head_from_teaching_but_gives_it_a_gradient() -> None:
    module = model(weighting=FixedWeighting({"mask": 0.0}))
    training_step(module, make_batch()).backward()
    for parameter in module.heads["mask"].parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()
    assert any(p.grad.any() for p in module.heads["heatmap"].parameters())


def test_in_one_process_a_head_of_weight_zero_stays_as_it_is() -> None:
    # Not even weight decay changes parameters without a gradient.
    decaying = partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5)
    module = model(weighting=FixedWeighting({"mask": 0.0}), optimizer=decaying)
    before = [parameter.detach().clone() for parameter in module.heads["mask"].parameters()]
    fit(module)
    for old, new in zip(before, module.heads["mask"].parameters(), strict=True):
        assert torch.equal(old, new)


def test_a_nan_in_a_head_of_weight_zero_does_no_harm() -> None:
    module = model(weighting=FixedWeighting({"coordinates": 0.0}))
    with torch.no_grad():
        for parameter in module.heads["coordinates"].parameters():
            parameter.fill_(math.nan)
    training_step(module, make_batch()).backward()
    for parameter in module.network.backbone.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_a_nan_loss_stops_and_names_the_head() -> None:
    module = model()
    with torch.no_grad():
        for parameter in module.heads["coordinates"].parameters():
            parameter.fill_(math.nan)
    with pytest.raises(InputError, match="NaN or infinity in coordinates at step 0"):
        training_step(module, make_batch())


def test_the_total_is_the_weighting_of_the_losses() -> None:
    module = model(weighting=FixedWeighting({"mask": 0.25, "joints": 3.0}))
    batch = make_batch()
    total = training_step(module, batch)
    terms = module.network.losses(module(batch.image), batch)
    losses = {name: one.mean() for name, one in terms.items()}
    expected = 0.25 * losses["mask"] + 3 * losses["joints"]
    expected = expected + losses["heatmap"] + losses["coordinates"]
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)


def test_the_main_head_is_the_first_that_predicts_keypoints() -> None:
    assert model().main_head == "joints"
    assert model(main_head="mask").main_head == "mask"
    assert model(heads={"mask": MaskHead()}).main_head == "mask"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": {}}, "at least one head"),
        ({"heads": {"a.b": MaskHead()}}, "letters, digits and underscores"),
        ({"heads": {"type": MaskHead()}}, "found 'type'"),
        ({"heads": {"update": MaskHead()}}, "found 'update'"),
        ({"heads": {"training": MaskHead()}}, "found 'training'"),
        ({"heads": {"label": MaskHead()}}, "found 'label'"),
        ({"heads": {"loss": MaskHead()}}, "found 'loss'"),
        ({"main_head": "nose"}, "main_head to be one of"),
        ({"weighting": FixedWeighting({"nose": 1.0})}, "'nose'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model(**settings)


def evaluate(module: PoseModule, batches: list[Batch]) -> dict[str, float]:
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.__setitem__(name, float(value))
    module.on_validation_start()
    with torch.no_grad():
        for index, batch in enumerate(batches):
            module.validation_step(batch, index)
        module.on_validation_epoch_end()
    return {name: value for name, value in logged.items() if "loss" not in name}


def test_figures_do_not_depend_on_the_batch_size() -> None:
    module = model().eval()
    whole = evaluate(module, [make_batch(6)])
    parts = evaluate(module, [make_batch(1), make_batch(3, seed=1), make_batch(2, seed=4)])
    assert whole.keys() == parts.keys()
    assert whole == pytest.approx(parts, abs=1e-4)
    assert whole["val/main"] == whole["val/joints/PCKh"]


def test_a_perfect_regression_scores_perfectly_in_source_pixels() -> None:
    module = model(heads={"coordinates": RegressionHead()}).eval()
    batch = make_batch(3)
    head = module.heads["coordinates"]
    perfect = head.encode(batch, torch.zeros(3, LSP14.num_joints, 2)).value
    head.forward = lambda features: perfect
    figures = evaluate(module, [batch])
    assert figures["val/coordinates/PCKh"] == 1
    assert figures["val/coordinates/PCK"] == 1
    assert figures["val/coordinates/RMSE"] == pytest.approx(0, abs=1e-3)


def test_a_joint_that_the_crop_cut_off_counts_as_missed() -> None:
    module = model(heads={"coordinates": RegressionHead()}).eval()
    batch = make_batch(1)
    head = module.heads["coordinates"]
    perfect = head.encode(batch, torch.zeros(1, LSP14.num_joints, 2)).value
    head.forward = lambda features: perfect
    # The transform sets a joint outside the crop to visibility 0; its source stays labelled.
    batch.visibility[0, 0], batch.source_keypoints[0, 0] = 0, torch.tensor([500.0, 500.0])
    figures = evaluate(module, [batch])
    assert figures["val/coordinates/PCKh"] == pytest.approx(13 / 14)


QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def fit(module: PoseModule, steps: int = 1, **settings: object) -> pl.Trainer:
    trainer = pl.Trainer(max_steps=steps, **QUIET, **settings)
    loader = DataLoader([make_sample(n, SIZE) for n in range(4)], batch_size=2, collate_fn=collate)
    trainer.fit(module, loader, loader)
    return trainer


def test_the_trainer_steps_by_the_weighted_loss() -> None:
    # SGD moves by the gradient itself, so a weight of 3 moves three times as far.
    def moved(weight: float) -> Tensor:
        sgd = partial(torch.optim.SGD, lr=1e-3)
        weighting = FixedWeighting({"mask": weight})
        module = model(heads={"mask": MaskHead()}, weighting=weighting, optimizer=sgd)
        before = module.heads["mask"].layer.weight.detach().clone()
        fit(module)
        return module.heads["mask"].layer.weight.detach() - before

    torch.testing.assert_close(moved(3.0), 3 * moved(1.0), rtol=1e-3, atol=1e-7)


def test_warm_up_begins_with_the_first_step() -> None:
    scheduler = partial(WarmupCosine, warmup=0.5)
    module = model(
        optimizer=partial(torch.optim.SGD, lr=1.0),
        lr_scheduler=scheduler,
        lr_interval="step",
        heads={"mask": MaskHead()},
    )
    rates = []
    module.on_before_optimizer_step = lambda optimizer: rates.append(
        optimizer.param_groups[0]["lr"]
    )
    fit(module, steps=8)
    assert rates[0] == pytest.approx(1 / 8)
    assert max(rates) == pytest.approx(rates[3], abs=0.1)
    assert rates[-1] < 0.1


def test_a_weighting_observes_in_single_precision() -> None:
    class Watching(FixedWeighting):
        def observe(self, step: TrainingStep) -> None:
            self.mixed = torch.is_autocast_enabled("cpu")
            self.product = torch.ones(2, 2) @ torch.ones(2, 2)

    weighting = Watching()
    fit(model(weighting=weighting), steps=1, precision="bf16-mixed")
    assert not weighting.mixed
    assert weighting.product.dtype == torch.float32


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_schedule_needs_an_end(interval: str) -> None:
    module = model(lr_scheduler=WarmupCosine, lr_interval=interval)
    with pytest.raises(InputError, match=r"1 step or more for the schedule, found (inf|-1) steps"):
        fit(module, steps=-1, max_epochs=-1, max_time={"seconds": 10})


def test_a_schedule_that_was_given_its_end_needs_no_other() -> None:
    module = model(lr_scheduler=partial(WarmupCosine, total_steps=5), lr_interval="step")
    fit(module, steps=2, max_epochs=-1)
    assert module.lr_schedulers().total_steps == 5


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_the_scheduler_steps_at_its_interval(interval: str) -> None:
    module = model(
        optimizer=partial(torch.optim.SGD, lr=1.0),
        lr_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
        lr_interval=interval,
        heads={"mask": MaskHead()},
    )
    trainer = fit(module, steps=4)  # Two epochs of two batches.
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    assert rate == pytest.approx(0.5**4 if interval == "step" else 0.5**2)


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("settings", [{"check_val_every_n_epoch": 2}, {"val_check_interval": 1}])
def test_a_plateau_steps_after_every_validation(
    settings: dict[str, int], interval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, factor=0.5)
    module = model(lr_scheduler=plateau, lr_interval=interval, optimizer=partial(Adam, lr=1.0))
    constant = {"": torch.tensor(1.0)}, {"main": torch.tensor(0.5)}
    monkeypatch.setattr(Evaluation, "compute", lambda *_: seen.append(1) or constant)
    # Epochs of two batches.
    trainer = fit(module, steps=8, num_sanity_val_steps=0, **settings)
    assert len(seen) == (2 if settings == {"check_val_every_n_epoch": 2} else 8)
    # The first value is the best so far; each one that is no better halves the rate.
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.5 ** (len(seen) - 1)


def test_a_plateau_without_validations_is_refused() -> None:
    module = model(lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau)
    with pytest.raises(InputError, match="Expected validations for ReduceLROnPlateau, found"):
        fit(module, steps=8, limit_val_batches=0)


def test_without_a_head_size_the_next_metric_is_the_main_one() -> None:
    module = model(heads={"joints": SoftmaxJointHead()}).eval()
    batch = make_batch(3)
    batch.head_size[:] = 0
    figures = evaluate(module, [batch])
    assert math.isnan(figures["val/joints/PCKh"])
    assert figures["val/main"] == figures["val/joints/PCK"]
    batch.torso_size[:] = 0
    figures = evaluate(module, [batch])
    assert figures["val/main"] == -figures["val/joints/RMSE"]


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_model_and_a_data_module_have_one_input_spec_and_the_same_joints(stage: str) -> None:
    module = model()
    module._trainer = pl.Trainer(**QUIET)
    data = SyntheticDataModule(train_size=4, input_spec=InputSpec(SIZE))
    module._trainer.datamodule = data
    module.setup(stage)
    # Colours affect no metric.
    data.skeleton = replace(LSP14, colours=LSP14.colours[::-1])
    module.setup(stage)
    data.skeleton = replace(LSP14, names=LSP14.names[::-1])
    with pytest.raises(ConfigError, match=r"the same skeleton\.names, found skeleton\.names"):
        module.setup(stage)
    data.skeleton = LSP14
    for wrong in (
        InputSpec(SIZE, enlarge=1.5),
        InputSpec(SIZE, fit="stretch"),
        InputSpec((64, 80)),
    ):
        data.input_spec = wrong
        with pytest.raises(ConfigError, match=r"the same input_spec, found input_spec\."):
            module.setup(stage)


def test_a_validation_that_cannot_judge_the_main_head_stops_the_training() -> None:
    module = model(heads={"joints": SoftmaxJointHead(), "mask": MaskHead()})
    blind = [make_sample(n, SIZE) for n in range(4)]
    for example in blind:
        example.annotation.visibility[:] = 0
    loader = DataLoader(blind, batch_size=2, collate_fn=collate)
    trainer = pl.Trainer(max_steps=2, **QUIET)
    with pytest.raises(InputError, match=r"labels for the main metric.*set model\.main_head"):
        trainer.fit(module, loader, loader)
    assert trainer.global_step == 2, "the sanity check sees too few people to tell"
    # When the model is only scored, NaN is the result.
    assert math.isnan(pl.Trainer(**QUIET).validate(module, loader)[0]["val/main"])


def test_a_head_of_weight_zero_that_diverged_does_not_stop_a_validation() -> None:
    module = model(weighting=FixedWeighting({"coordinates": 0.0}))
    with torch.no_grad():
        for parameter in module.heads["coordinates"].parameters():
            parameter.fill_(math.nan)
    # Before the first step no head is known to be untrained, so it is scored, badly.
    figures = evaluate(module.eval(), [make_batch(2)])
    assert figures["val/coordinates/PCKh"] == 0
    del module.log
    trainer = fit(module.train(), steps=2)
    assert trainer.callback_metrics["val/mask/Dice"].isfinite()
    assert "val/coordinates/PCKh" not in trainer.callback_metrics


def test_a_loss_that_diverged_stops_a_validation_before_a_checkpoint_is_replaced() -> None:
    module = model().eval()
    with torch.no_grad():
        for parameter in module.heads["coordinates"].parameters():
            parameter.fill_(math.nan)
    with pytest.raises(DivergedError, match="NaN or infinity in coordinates"):
        evaluate(module, [make_batch(2)])


def test_an_aborted_validation_leaves_nothing_behind() -> None:
    module = model().eval()
    expected = evaluate(module, [make_batch(3)])
    module.validation_step(make_batch(2, seed=7), 0)
    assert evaluate(module, [make_batch(3)]) == expected


def test_a_head_without_labels_is_named_once_logs_nothing_and_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = model(heads={"heatmap": HeatmapHead(), "mask": MaskHead()})
    blind = [make_sample(n, SIZE) for n in range(4)]
    for sample in blind:
        sample.mask[:] = -1
    loader = DataLoader(blind, batch_size=2, collate_fn=collate)
    trainer = pl.Trainer(max_epochs=3, **QUIET)
    with caplog.at_level(logging.INFO):
        trainer.fit(module, loader, loader)
    assert caplog.text.count("Heads without labels or with weight 0 so far: mask.") == 1
    assert not [key for key in trainer.callback_metrics if "mask" in key]
    assert "val/loss/heatmap" in trainer.callback_metrics
    assert module.untrained == ("mask",)
    assert list(module.predict(make_batch(2).image)) == ["heatmap"]
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    again = model(heads={"heatmap": HeatmapHead(), "mask": MaskHead()})
    again.on_load_checkpoint(content)
    assert again.untrained == ("mask",)


def test_prediction_does_not_depend_on_the_mode_and_changes_no_statistics() -> None:
    module = model()
    batch = make_batch(4)
    training_step(module, batch)
    expected = module.eval().predict(batch.image)
    module.train()
    module.network.backbone.down[0].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = module.predict(batch.image)
    for name, prediction in expected.items():
        for field in prediction.fields():
            assert torch.equal(getattr(found[name], field), getattr(prediction, field))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training
    assert not module.network.backbone.down[0].training, "what was frozen stays frozen"


@pytest.mark.parametrize(
    ("main_metric", "key", "sign"),
    [
        ("PCK", "val/joints/PCK", 1),
        ("RMSE", "val/joints/RMSE", -1),
        ("mask/Dice", "val/mask/Dice", 1),
        ("loss", "val/loss", -1),
        ("heatmap/loss", "val/loss/heatmap", -1),
    ],
)
def test_the_main_metric_may_be_any_figure_and_higher_is_better(
    main_metric: str, key: str, sign: int
) -> None:
    module = model(main_metric=main_metric).eval()
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.__setitem__(name, float(value))
    module.validation_step(make_batch(3), 0)
    module.on_validation_epoch_end()
    assert logged["val/main"] == sign * logged[key]


def test_the_flip_test_is_used_in_evaluation_where_it_is_wanted() -> None:
    module = model().eval()
    batch = make_batch(3)
    plain = evaluate(module, [batch])
    module.flip_test = True
    flipped = evaluate(module, [batch])
    assert plain != flipped
    expected = module.predict(batch.image, flip=True)["heatmap"].keypoints
    found = module.validation_step(batch, 0)["judged"]["heatmap"].prediction.keypoints
    assert torch.equal(found, expected)


def test_the_flip_test_needs_a_width_that_every_stride_divides() -> None:
    narrow = PoseModule(UNet(width=4), all_heads(), LSP14, InputSpec((64, 56)))
    with pytest.raises(ConfigError, match="multiple of 16 for the flip test, found 56"):
        narrow.predict(torch.zeros(1, 3, 64, 56), flip=True)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (torch.zeros(1, 3, 64, 80), r"float32 of shape \(1, 3, 64, 80\)"),
        (torch.zeros(3, 64, 64), r"shape \(3, 64, 64\)"),
        (torch.full((1, 3, 64, 64), 255.0), "values from 255 to 255"),
        (torch.full((1, 3, 64, 64), -0.6), "values from -0.6 to -0.6"),
        (torch.full((1, 3, 64, 64), torch.nan), "values from nan to nan"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.int64), "int64 of shape"),
    ],
)
def test_images_that_would_give_wrong_predictions_are_refused(image, found) -> None:
    with pytest.raises(DataError, match=rf"Expected images of shape \(B, 3, 64, 64\).*{found}"):
        model().predict(image)


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_the_classes_of_a_label_are_those_of_the_data(stage: str) -> None:
    module = model(labels={"activity": ["run", "sit"]})
    module._trainer = pl.Trainer(**QUIET)
    data = SyntheticDataModule(train_size=4, input_spec=InputSpec(SIZE))
    module._trainer.datamodule = data
    kind = type("Labelled", (SyntheticDataModule,), {})
    data.__class__ = kind
    for classes in (["sit", "run"], None):
        kind.labels = property(lambda _, c=classes: {} if c is None else {"activity": c})
        with pytest.raises(ConfigError, match=r"the same labels, found labels\.activity"):
            module.setup(stage)
    kind.labels = property(lambda _: {"activity": ["run", "sit"], "height": []})
    module.setup(stage)


def test_a_loss_that_no_training_knew_is_not_in_the_total() -> None:
    module = model(heads={"heatmap": HeatmapHead(), "mask": MaskHead()}).eval()
    module.assume_trained(["heatmap"])
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.__setitem__(name, float(value))
    with torch.no_grad():
        module.validation_step(make_batch(2), 0)
        module.on_validation_epoch_end()
    assert "val/loss/mask" not in logged
    assert logged["val/loss"] == logged["val/loss/heatmap"]


def test_weights_from_a_training_with_labels_stay_trained(tmp_path: Path) -> None:
    trained = model(heads={"heatmap": HeatmapHead(), "mask": MaskHead()})
    fit(trained, steps=2)
    content = {"state_dict": trained.state_dict()}
    trained.on_save_checkpoint(content)
    torch.save(content, tmp_path / "trained.ckpt")
    loaded = PoseModule.load_from_checkpoint(tmp_path / "trained.ckpt").train()
    started = model(heads={"heatmap": HeatmapHead(), "mask": MaskHead()})
    init_from(started, tmp_path / "trained.ckpt")
    blind = [make_sample(n, SIZE) for n in range(4)]
    for sample in blind:
        sample.mask[:] = -1
    loader = DataLoader(blind, batch_size=2, collate_fn=collate)
    for module in (loaded, started):
        pl.Trainer(max_steps=2, **QUIET).fit(module, loader, loader)
        assert module.untrained == ()
