"""What is measured, when, and where it goes."""

import csv
import itertools
import math
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import collate
from lightning_pose.callbacks import GradientTelemetry
from lightning_pose.errors import ConfigError
from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import TrainingStep
from tests.batches import make_sample
from tests.weightings.test_torchjd import feature_jacobian

SIZE = (32, 32)
HEADS = {
    "mask": MaskHead,
    "joints": SoftmaxJointHead,
    "heatmap": HeatmapHead,
    "coordinates": RegressionHead,
}


def fit(folder, callback, heads=tuple(HEADS), samples=None, **settings):
    torch.manual_seed(0)
    module = PoseModule(
        UNet(width=4, dropout=0.0),
        {name: HEADS[name]() for name in heads},
        LSP14,
        InputSpec(SIZE),
        optimizer=partial(torch.optim.SGD, lr=0.05),
    )
    samples = [make_sample(n, SIZE) for n in range(4)] if samples is None else samples
    loader = DataLoader(samples, batch_size=2, collate_fn=collate)
    settings = {"max_epochs": 1, "limit_val_batches": 0, "logger": False, **settings}
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[] if callback is None else [callback],
        **settings,
    )
    trainer.fit(module, loader, loader)
    return module


def test_norms_and_cosines_are_those_of_one_backward_pass_per_head(tmp_path):
    telemetry = GradientTelemetry()
    fit(tmp_path, telemetry, max_steps=1, max_epochs=None)
    start = fit(tmp_path, None, max_steps=0).train()
    jacobian = feature_jacobian(start, collate([make_sample(0, SIZE), make_sample(1, SIZE)]))
    rows = dict(zip(HEADS, jacobian, strict=True))
    expected = {f"gradient/norm/{name}": row.norm().item() for name, row in rows.items()}
    # Coordinates are read from the other map.
    for one, other in itertools.combinations(("mask", "joints", "heatmap"), 2):
        cosine = torch.cosine_similarity(rows[one], rows[other], dim=0).item()
        expected[f"gradient/cosine/{one}-{other}"] = cosine
    assert list(telemetry.measured) == [0]
    assert telemetry.measured[0] == pytest.approx(expected, rel=0.01, abs=1e-3)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_it_measures_once_every_so_many_optimiser_steps(tmp_path, accumulated, monkeypatch):
    gramian, seen = TrainingStep.gramian, []
    monkeypatch.setattr(
        TrainingStep, "gramian", lambda step: seen.append(step.step) or gramian(step)
    )
    telemetry = GradientTelemetry(every_n_steps=2)
    settings = {"max_steps": 4, "max_epochs": None, "accumulate_grad_batches": accumulated}
    fit(tmp_path, telemetry, **settings)
    assert list(telemetry.measured) == seen == [0, 2]


def test_measuring_changes_nothing(tmp_path):
    bare = fit(tmp_path, None, max_epochs=2).state_dict()
    for name, value in fit(tmp_path, GradientTelemetry(1), max_epochs=2).state_dict().items():
        assert torch.equal(value, bare[name]), name


def test_the_step_is_not_kept_after_its_backward_pass(tmp_path):
    seen = []

    class Watching(pl.Callback):
        def on_before_backward(self, trainer, pl_module, loss):
            seen.append(pl_module.current_step.step)

        def on_after_backward(self, trainer, pl_module):
            assert pl_module.current_step is None

    fit(tmp_path, Watching())
    assert seen == [0, 1]


def test_the_loggers_get_the_numbers_and_the_picture(tmp_path):
    telemetry = GradientTelemetry(every_n_steps=2)
    loggers = [CSVLogger(tmp_path, "", "csv"), TensorBoardLogger(tmp_path, "", "events")]
    # Twice in an epoch of two steps, in which one is measured; one is not drawn.
    seen = {"limit_val_batches": 1, "val_check_interval": 1, "log_every_n_steps": 1}
    fit(tmp_path, telemetry, max_epochs=2, logger=loggers, **seen)
    with (tmp_path / "csv" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["gradient/norm/mask"]]
    assert [(row["step"], row["epoch"]) for row in rows] == [("0", "0"), ("2", "1")]
    for row, found in zip(rows, telemetry.measured.values(), strict=True):
        for name, value in found.items():
            assert float(row[name]) == pytest.approx(value)
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [event.step for event in events.Scalars("gradient/cosine/mask-joints")] == [0, 2]
    assert [event.step for event in events.Images("gradient")] == [2]


def test_a_resumed_training_does_not_draw_again_what_was_drawn(tmp_path):
    before, resumed = GradientTelemetry(1), GradientTelemetry(1)
    fit(tmp_path / "before", before, limit_val_batches=1)
    assert (tmp_path / "before" / "pictures" / "gradients.png").is_file()
    resumed.load_state_dict(before.state_dict())
    trainer = pl.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path / "after")
    trainer.state.fn = "fit"
    resumed.on_validation_end(trainer, pl.LightningModule())
    assert not (tmp_path / "after").exists()
    resumed.measured[2] = resumed.measured[1]
    resumed.on_validation_end(trainer, pl.LightningModule())
    assert (tmp_path / "after" / "pictures" / "gradients.png").is_file()


def test_the_picture_shows_what_was_measured_so_far(tmp_path):
    fit(tmp_path / "one", GradientTelemetry(1), limit_val_batches=1)
    fit(tmp_path / "two", GradientTelemetry(1), max_epochs=2, limit_val_batches=1)
    pictures = [
        np.asarray(Image.open(tmp_path / name / "pictures" / "gradients.png"))
        for name in ("one", "two")
    ]
    assert pictures[0].shape == pictures[1].shape
    # Lines in at least four colours, the one of the first head among them.
    for picture in pictures:
        colours = {tuple(colour) for colour in picture[..., :3].reshape(-1, 3).tolist()}
        assert {(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)} <= colours
    assert (pictures[0] != pictures[1]).any()


def test_one_head_has_nothing_to_compare(tmp_path):
    telemetry = GradientTelemetry(1)
    fit(tmp_path, telemetry, heads=("joints",), limit_val_batches=1)
    assert not telemetry.measured
    assert not (tmp_path / "pictures").exists()


def test_a_head_without_labels_is_left_out(tmp_path):
    samples = [make_sample(n, SIZE) for n in range(4)]
    for sample in samples:
        sample.mask[:] = -1
    telemetry = GradientTelemetry(1)
    fit(tmp_path, telemetry, heads=("mask", "joints"), samples=samples)
    for found in telemetry.measured.values():
        assert list(found) == ["gradient/norm/joints"]
        assert math.isfinite(found["gradient/norm/joints"])


def test_numbers_that_overflow_or_vanish_are_left_out(tmp_path, monkeypatch):
    matrix = torch.tensor([[4.0, -3.0, 1e-30], [-3.0, 9.0, torch.inf], [1e-30, torch.inf, 0.0]])
    monkeypatch.setattr(TrainingStep, "gramian", lambda step: matrix)
    telemetry = GradientTelemetry()
    fit(tmp_path, telemetry, heads=("mask", "joints", "heatmap"), max_steps=1)
    expected = {"norm/mask": 2, "norm/joints": 3, "cosine/mask-joints": -0.5}
    assert telemetry.measured[0] == {f"gradient/{name}": value for name, value in expected.items()}


@pytest.mark.parametrize("steps", [0, -5])
def test_a_bad_number_of_steps_is_refused(steps):
    with pytest.raises(ConfigError, match=f"every_n_steps of 1 or more, found {steps}"):
        GradientTelemetry(steps)
