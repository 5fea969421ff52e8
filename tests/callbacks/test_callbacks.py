"""What the callbacks write; the whole command is tested in tests/commands/test_training.py."""

import math
import shlex
from pathlib import Path
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import wandb
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from torch.utils.data import DataLoader

from lightning_pose.backbones import UNet
from lightning_pose.batch import collate
from lightning_pose.callbacks import (
    ContactSheet,
    RunSummary,
    SavePredictions,
    log_config,
    log_picture,
)
from lightning_pose.callbacks.best import BestValidation
from lightning_pose.errors import InputError
from lightning_pose.geometry import transform_points
from lightning_pose.heads import MaskHead, RegressionHead
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.visualization import Tile
from tests.batches import make_example

SIZE = (64, 64)


def validate(callback: pl.Callback, people: list[int], batch_size: int = 2) -> pl.Trainer:
    torch.manual_seed(0)
    heads = {"coordinates": RegressionHead(), "mask": MaskHead()}
    model = PoseModule(UNet(width=4), heads, LSP14.to_dict(), SIZE)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[callback],
    )
    examples = [make_example(person, SIZE) for person in people]
    loader = DataLoader(examples, batch_size=batch_size, collate_fn=collate)
    trainer.validate(model, loader, verbose=False)
    return trainer


def test_predictions_are_ordered_by_person_whatever_the_batches(tmp_path: Path) -> None:
    validate(SavePredictions(tmp_path / "a.npz"), [5, 1, 3], batch_size=2)
    validate(SavePredictions(tmp_path / "b.npz"), [3, 5, 1], batch_size=1)
    first, second = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    assert first["person_id"].tolist() == second["person_id"].tolist() == [1, 3, 5]
    assert set(first) == set(second)
    for key in first:
        np.testing.assert_allclose(first[key], second[key], rtol=1e-3, atol=1e-3)


def test_errors_are_distances_in_source_pixels(tmp_path: Path) -> None:
    validate(SavePredictions(tmp_path / "p.npz"), [1, 2])
    saved = np.load(tmp_path / "p.npz")
    truth = np.stack([make_example(person, SIZE).source.keypoints for person in (1, 2)])
    expected = np.linalg.norm(saved["coordinates/keypoints"] - truth, axis=-1)
    np.testing.assert_allclose(saved["coordinates/errors"], expected, rtol=1e-4)


def test_a_worse_validation_does_not_replace_a_better_one(tmp_path: Path) -> None:
    callback = SavePredictions(tmp_path / "p.npz")
    callback.best.figure = 2.0
    validate(callback, [1])
    assert not (tmp_path / "p.npz").exists()


def test_a_sheet_shows_the_people_that_it_was_asked_for(tmp_path: Path) -> None:
    sheets = []
    for people in (1, 3):
        validate(ContactSheet(tmp_path / str(people), people), [1, 2, 3, 4])
        (path,) = (tmp_path / str(people)).iterdir()
        sheets.append(cv2.imread(str(path)))
    assert sheets[0].shape[1] == sheets[1].shape[1]
    assert sheets[1].shape[0] > 2 * sheets[0].shape[0]


def test_the_w_and_b_logger_gets_the_picture_and_the_config() -> None:
    logger = MagicMock(spec=WandbLogger)
    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    log_picture([logger], "val/predictions", picture, step=7)
    logger.log_image.assert_called_once_with(key="val/predictions", images=[picture], step=7)
    log_config([logger], {"seed_everything": 0})
    logger.log_hyperparams.assert_called_once_with({"seed_everything": 0})


def test_without_an_account_w_and_b_gets_one_sentence() -> None:
    logger = MagicMock(spec=WandbLogger)
    logger.log_hyperparams.side_effect = wandb.errors.UsageError("No API key.\nLog in.")
    with pytest.raises(InputError, match=r"found: No API key\. Log in; log in with `wandb login`"):
        log_config([logger], {})


def test_a_sheet_shows_truth_and_predictions_and_says_how_good_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[list[Tile]] = []

    def keep(shown: list[list[Tile]], _: object) -> np.ndarray:
        rows.extend(shown)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    monkeypatch.setattr("lightning_pose.callbacks.contact_sheet.contact_sheet", keep)
    validate(ContactSheet(tmp_path), [1])
    validate(SavePredictions(tmp_path / "p.npz"), [1])
    saved = np.load(tmp_path / "p.npz")
    errors = np.sort(saved["coordinates/errors"][0] * saved["crop_scale"][0])
    middle = errors[(np.isfinite(errors).sum() - 1) // 2]
    assert [tile.caption for tile in rows[0]] == [
        "truth",
        f"coordinates  {middle:.1f} px",
        f"mask  {saved['mask/dice'][0]:.2f}",
    ]
    truth, coordinates, mask = rows[0]
    example = make_example(1, SIZE)
    np.testing.assert_array_equal(truth.keypoints, example.keypoints)
    np.testing.assert_array_equal(truth.mask, example.mask == 1)
    for tile in rows[0]:
        np.testing.assert_array_equal(tile.image, example.image)
    found = transform_points(example.crop, saved["coordinates/keypoints"][0])
    np.testing.assert_allclose(coordinates.keypoints, found, atol=1e-2)
    assert mask.keypoints is None
    overlap = 2 * (mask.mask & truth.mask).sum() / (mask.mask.sum() + truth.mask.sum())
    assert overlap == pytest.approx(saved["mask/dice"][0], abs=1e-5)


def test_an_empty_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 or more people"):
        ContactSheet(tmp_path, people=0)


def test_the_best_validation_is_the_one_that_has_a_checkpoint() -> None:
    trainer = MagicMock(spec=pl.Trainer, sanity_checking=False, fast_dev_run=False)
    trainer.state = MagicMock(fn="fit")
    best = BestValidation()

    def validated(step: int, figure: float) -> bool:
        trainer.global_step = step
        trainer.callback_metrics = {"val/main": torch.tensor(figure)}
        return best.is_new(trainer)

    # As ModelCheckpoint does: nothing before the first step, nor twice between two steps.
    seen = [(0, 0.1), (2, 0.2), (2, 0.3), (4, 0.25), (4, 0.5), (6, 0.5), (8, math.nan), (9, 0.6)]
    assert [validated(*one) for one in seen] == [
        *(False, True, False, True),
        *(False, True, False, True),
    ]


def test_the_predictions_are_those_of_the_checkpoint_of_the_best(tmp_path: Path) -> None:
    heads = {"coordinates": RegressionHead(), "mask": MaskHead()}
    model = PoseModule(UNet(width=4), heads, LSP14.to_dict(), SIZE)
    save, best = (
        SavePredictions(tmp_path / "p.npz"),
        ModelCheckpoint(tmp_path, "best", "val/main", mode="max"),
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=4,
        val_check_interval=0.25,
        callbacks=[save, best],
    )
    loader = DataLoader([make_example(n, SIZE) for n in range(8)], 1, collate_fn=collate)
    # Eight batches, two steps, and a better figure at every validation, between the steps too.
    figures = iter([0.0, 0.1, 0.2, 0.3, 0.4])
    model._log_scores = lambda stage, _: model.log("val/main", next(figures))
    trainer.fit(model, loader, loader)
    assert save.best.step == torch.load(best.best_model_path, weights_only=True)["global_step"]
    assert save.best.figure == pytest.approx(float(best.best_model_score))


def test_the_summary_prints_figures_folder_and_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "my [old] :key: runs"
    run.mkdir()
    (run / "best.ckpt").touch()
    summary = RunSummary(run)
    trainer = validate(summary, [1, 2])
    summary.print()
    printed = capsys.readouterr().out
    assert f"{trainer.callback_metrics['val/mask/Dice']:.4f}" in printed
    assert f"Run folder: {run}\n" in printed
    (command,) = (line for line in printed.splitlines() if line.startswith("Next: "))
    words = shlex.split(command.removeprefix("Next: "))
    assert words[words.index("--ckpt_path") + 1] == str(run / "best.ckpt")
