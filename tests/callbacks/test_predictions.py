"""predictions.npz has one row per person, and enough to recompute the metrics."""

from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_pose.callbacks import SavePredictions
from lightning_pose.geometry import crop_scale
from lightning_pose.metrics import keypoint_pck, keypoint_pckh
from tests.callbacks.model import StubModel, answers, loader, make_trainer, validate
from tests.metrics.people import make_people, take


def written(path: Path, *batches) -> tuple[dict[str, np.ndarray], StubModel]:
    model = validate(SavePredictions(path), batches=batches)
    return dict(np.load(path)), model


def test_rows_are_ordered_by_person_whatever_the_batches(tmp_path) -> None:
    people = make_people(7)
    first, _ = written(tmp_path / "a.npz", people)
    parts = [take(people, index) for index in ([5, 1, 3], [6], [4, 0, 2])]
    second, _ = written(tmp_path / "b.npz", *parts)
    assert first["person_id"].tolist() == list(range(100, 107))
    assert list(first) == list(second)
    names = dict(zip(people.person_id.tolist(), people.image_id, strict=True))
    for found in (first, second):
        assert found.pop("image_id").tolist() == list(names.values())
    for key, column in first.items():
        assert len(column) == 7
        np.testing.assert_allclose(second[key], column, rtol=1e-5, atol=1e-5)
    assert not list(tmp_path.glob("*.part*"))


def test_it_has_what_is_known_and_what_each_head_fills(tmp_path) -> None:
    people = make_people(7)
    saved, _ = written(tmp_path / "p.npz", people)
    known = {
        "person_id": people.person_id,
        "image_size": people.image_size,
        "crop": people.crop,
        "box": people.box,
        "head_size": people.head_size,
        "torso_size": people.torso_size,
        "area": people.area,
        "keypoints": people.source_keypoints,
        "visibility": people.source_visibility,
        "label/sport": people.labels["sport"],
        "label/age": people.labels["age"],
    }
    found = answers(people, 0)
    heads = {
        "joints/scores": found["joints"].scores,
        "sport/probabilities": found["sport"].probabilities,
        "age/value": found["age"].value,
    }
    for key, column in {**known, **heads}.items():
        assert saved[key].dtype == column.numpy().dtype, key
        np.testing.assert_array_equal(saved[key], column)
    others = {"joints/keypoints", "joints/errors", "joints/PCKh", "joints/PCK", "joints/RMSE"}
    others |= {"mask/Dice", "sport/Accuracy", "age/MAE"}
    assert saved["image_id"].tolist() == people.image_id
    assert set(saved) == {"image_id", *known, *heads, *others}


def test_errors_are_distances_in_source_pixels(tmp_path) -> None:
    people = make_people(7)
    saved, _ = written(tmp_path / "p.npz", people)
    away = saved["joints/keypoints"] - people.source_keypoints.numpy()
    expected = np.where(saved["visibility"] > 0, np.linalg.norm(away, axis=-1), np.nan)
    np.testing.assert_allclose(saved["joints/errors"], expected, rtol=1e-3, atol=1e-3)


def test_the_metrics_can_be_computed_again(tmp_path) -> None:
    saved, model = written(tmp_path / "p.npz", make_people(7), make_people(5, seed=3))
    (figures,) = model.history
    errors = torch.from_numpy(saved["joints/errors"]).nan_to_num(0)
    labelled = torch.from_numpy(saved["visibility"] > 0)
    points = torch.stack((errors, errors * 0), dim=-1), torch.zeros(12, 14, 2), labelled
    for name, function, size in (
        ("PCKh", keypoint_pckh, "head_size"),
        ("PCK", keypoint_pck, "torso_size"),
    ):
        again = function(*points, torch.from_numpy(saved[size]))
        assert again.item() == pytest.approx(figures[f"joints/{name}"])
    crop, error = (torch.from_numpy(saved[key]) for key in ("crop", "joints/errors"))
    squared = (error * crop_scale(crop)[:, None]).numpy() ** 2
    assert np.sqrt(np.nanmean(squared)) == pytest.approx(figures["joints/RMSE"], rel=1e-4)
    each = torch.from_numpy(squared).nanmean(dim=1).sqrt()
    np.testing.assert_allclose(saved["joints/RMSE"], each, rtol=1e-3)
    assert np.nanmean(saved["sport/Accuracy"]) == pytest.approx(figures["sport/Accuracy"])
    known = saved["label/sport"] >= 0
    right = saved["sport/probabilities"].argmax(axis=1) == saved["label/sport"]
    assert right[known].mean() == pytest.approx(figures["sport/Accuracy"])
    away = np.nanmean(np.abs(saved["age/value"] - saved["label/age"]))
    assert away == pytest.approx(figures["age/MAE"], rel=1e-6)
    assert np.nanmean(saved["mask/Dice"]) == pytest.approx(figures["mask/Dice"])


def test_the_rows_of_all_processes_come_together(tmp_path, monkeypatch) -> None:
    people = make_people(7)
    alone, _ = written(tmp_path / "alone.npz", people)
    callbacks = []
    for index in ([6, 0, 3], [2, 5, 1, 4]):
        callbacks.append(SavePredictions(tmp_path / "many.npz"))
        model = validate(callbacks[-1], batches=[take(people, index)])
    rows = [callback._rows for callback in callbacks]

    def gather(gathered, _):
        gathered[:] = rows

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    (tmp_path / "many.npz").unlink()
    for rank in (1, 0):
        trainer = MagicMock(spec=pl.Trainer, world_size=2, is_global_zero=rank == 0)
        callbacks[rank].keep_best(trainer, model)
        assert (tmp_path / "many.npz").exists() == (rank == 0)
    many = dict(np.load(tmp_path / "many.npz"))
    assert list(many) == list(alone)
    assert many.pop("image_id").tolist() == alone.pop("image_id").tolist() == people.image_id
    for key, column in alone.items():
        np.testing.assert_allclose(many[key], column, rtol=1e-5, atol=1e-5)


def test_it_writes_nothing_in_a_fit_without_a_best_checkpoint_nor_in_a_trial(tmp_path) -> None:
    callback = SavePredictions(tmp_path / "p.npz")
    trainer = make_trainer(callback, max_epochs=1, enable_checkpointing=False)
    trainer.fit(StubModel(), loader(make_people(2)), loader(make_people(2)))
    validate(callback, batches=[make_people(2)], fast_dev_run=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_finished_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    path = tmp_path / "p.npz"
    written(path, make_people(2))
    before = path.read_bytes()

    def full(file, **columns):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        written(path, make_people(3))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
