"""Figures of predictions that are made to collapse, and of some that are made not to."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import mean_pose
from benchmarks.mean_pose import People, compare, growth, read_run, table
from lightning_pose.errors import DataError
from lightning_pose.heads import Head, LSTMHead, MaskHead, RefinementHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import FixedWeighting
from tests.test_checkpoint import small_model, write

ORDER = [*reversed(LSP14.names)]


def make(predicted, seed: int = 0, count: int = 400) -> People:
    """People around a mean pose, a fifth of whose joints are not labelled."""
    rng = np.random.default_rng(seed)
    pose = rng.uniform(-0.5, 0.5, (14, 2))
    truth = pose + rng.normal(scale=0.1, size=(count, 14, 2))
    labelled = rng.random((count, 14)) < 0.8
    found = predicted(pose, truth, rng)
    # Where nothing is labelled, the files have (0, 0).
    return People(found, np.where(labelled[..., None], truth, 0.0), labelled)


def collapsed(pose, truth, rng):
    return pose + rng.normal(scale=0.002, size=truth.shape)


def right(pose, truth, rng):
    return truth + rng.normal(scale=0.02, size=truth.shape)


def diverse_but_blind(pose, truth, rng):
    """As diverse as people are, but not those in the images."""
    return pose + rng.normal(scale=0.1, size=truth.shape)


def test_figures_are_their_definitions() -> None:
    people = make(right, count=30)
    found = compare(people, seed=3)
    for joint in range(14):
        rows = np.flatnonzero(people.labelled[:, joint])
        truth, preds = people.truth[rows, joint], people.predicted[rows, joint]
        pose = truth.mean(axis=0)
        distance = [np.hypot(*(t - p)) for t, p in zip(truth, preds, strict=True)]
        constant = [np.hypot(*(t - pose)) for t in truth]
        assert found.error[joint] == pytest.approx(np.mean(distance))
        assert found.constant[joint] == pytest.approx(np.mean(constant))
        ratio = np.mean([np.hypot(*(p - pose)) for p in preds]) / np.mean(constant)
        assert found.to_mean[joint] == pytest.approx(ratio)
        ratio = np.sqrt(preds.var(axis=0).sum() / truth.var(axis=0).sum())
        assert found.spread[joint] == pytest.approx(ratio)


def test_a_model_that_predicts_the_mean_pose_is_recognised() -> None:
    found = compare(make(collapsed))
    assert found.spread.max() < 0.05
    assert found.to_mean.max() < 0.1
    np.testing.assert_allclose(found.error, found.constant, rtol=0.01)
    np.testing.assert_allclose(found.error, found.shuffled, rtol=0.01)


def test_a_model_that_sees_its_images_is_recognised() -> None:
    found = compare(make(right))
    np.testing.assert_allclose(found.spread, 1, atol=0.1)
    np.testing.assert_allclose(found.to_mean, 1, atol=0.1)
    assert (found.error < 0.3 * found.constant).all()
    assert (found.shuffled > 1.2 * found.constant).all()


def test_a_model_that_ignores_its_images_is_recognised_however_diverse_it_is() -> None:
    found = compare(make(diverse_but_blind))
    np.testing.assert_allclose(found.spread, 1, atol=0.1)
    np.testing.assert_allclose(found.error, found.shuffled, rtol=0.15)


def test_nobody_keeps_their_own_image() -> None:
    # Each person's error with another image is far above that with their own.
    people = make(lambda pose, truth, rng: truth, count=7)
    people.labelled[:] = True
    people.truth = people.predicted = 10.0 * np.arange(7)[:, None, None] + np.zeros((7, 14, 2))
    for seed in range(20):
        alone = np.zeros((7, 14), dtype=bool)
        for person in range(7):
            alone[:], alone[person] = False, True
            one = compare(People(people.predicted, people.truth, alone), seed)
            assert one.error.max() == 0
            assert one.shuffled.min() >= 10


def test_a_joint_that_nobody_has_is_left_out_without_a_warning() -> None:
    people = make(right)
    people.labelled[:, 4] = False
    found = compare(people)
    assert all(np.isnan(values[4]) for values in vars(found).values())
    assert np.isfinite(growth(found.error))


def test_errors_that_grow_along_the_sequence_are_recognised() -> None:
    def worse(pose, truth, rng):
        scale = np.linspace(0.01, 0.1, 14)[:, None]
        return truth + rng.normal(size=truth.shape) * scale

    found = compare(make(worse))
    assert growth(found.error) > 0.95
    assert growth(found.error / found.constant) > 0.95
    assert abs(growth(compare(make(right)).error)) < 0.6
    lines = table(LSP14.names, found, compare(make(right)))
    assert lines[-3].endswith(f"step and error: {growth(found.error):.2f}")
    assert float(lines[-1].rsplit(" ", 1)[1]) > 0.9


def write_run(folder: Path, head: Head, predicted: np.ndarray) -> Path:
    """A run whose predictions are this far from the truth, for people in boxes of 100 x 50."""
    folder.mkdir(exist_ok=True)
    write_model(folder, head, InputSpec((48, 64)))
    truth = np.random.default_rng(0).uniform(0, 50, (len(predicted), 14, 2))
    sizes = [(90, 160)] * len(truth)
    boxes = np.tile(np.float32([10, 20, 110, 70]), (len(truth), 1))
    return write_predictions(folder, truth, truth + predicted, boxes, sizes)


def write_model(folder: Path, head: Head, spec: InputSpec) -> None:
    heads, weighting = {"sequence": head, "mask": MaskHead()}, FixedWeighting()
    write(folder / "best.ckpt", small_model(heads=heads, weighting=weighting, input_spec=spec))


def write_predictions(folder: Path, truth, predicted, boxes, sizes) -> Path:
    columns = {
        "box": boxes,
        "image_size": np.int64(sizes),
        "keypoints": np.float32(truth),
        "visibility": np.full((len(truth), 14), 2, np.uint8),
        "sequence/keypoints": np.float32(predicted),
    }
    np.savez(folder / "predictions.npz", **columns)
    return folder


def small(order: list[str] | None = None) -> LSTMHead:
    return LSTMHead(fully_connected=[4], hidden=4, order=order)


def test_a_run_is_read_in_the_order_of_its_steps(tmp_path, capsys, monkeypatch) -> None:
    # Joint k is wrong by k pixels to the right.
    away = np.zeros((6, 14, 2))
    away[..., 0] = np.arange(14)
    run = write_run(tmp_path / "run", small(ORDER), away)
    people, steps = read_run(run, None)
    assert list(steps) == ORDER
    # The input shows 1.25 times the box of 100 pixels.
    np.testing.assert_allclose(compare(people).error, np.arange(14)[::-1] / 125, atol=1e-6)
    other = write_run(tmp_path / "other", small(), 2 * away + 0.5)
    words = ["mean_pose.py", str(run), "--against", str(other)]
    monkeypatch.setattr("sys.argv", words)
    mean_pose.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["1", "head_top", "0.104"]
    assert float(lines[1].split()[-1]) == pytest.approx(13 / np.hypot(26.5, 0.5), abs=2e-3)
    assert lines[-3] == "rank correlation of step and error: -1.00"


@pytest.mark.parametrize("subject", ["box", "image"])
def test_the_same_place_in_every_input_is_the_mean_pose(tmp_path, subject) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(40, 400, (12, 2))
    corner = rng.uniform(0, 40, (12, 2))
    boxes = np.float32(np.hstack([corner, corner + rng.uniform(10, 90, (12, 2))]))
    # Places of the truth and of one pose for everybody, in an input that goes from 0 to 1.
    places = rng.uniform(0.1, 0.9, (12, 14, 2))
    pose = places.mean(axis=0)
    # The first pixel of an image goes from -0.5 to 0.5.
    low = boxes[:, None, :2] if subject == "box" else -0.5
    sides = (boxes[:, 2:] - boxes[:, :2] if subject == "box" else sizes[:, ::-1])[:, None]
    write_model(tmp_path, small(), InputSpec((48, 64), subject=subject, fit="stretch", enlarge=1.0))
    run = write_predictions(tmp_path, low + sides * places, low + sides * pose, boxes, sizes)
    found = compare(read_run(run, None)[0])
    # The input is 64 pixels wide and 48 high.
    away = np.linalg.norm((places - pose) * [1, 0.75], axis=-1).mean(axis=0)
    np.testing.assert_allclose(found.error, away, rtol=1e-3)
    np.testing.assert_allclose(found.constant, away, rtol=1e-3)
    np.testing.assert_allclose(found.spread, 0, atol=1e-4)
    np.testing.assert_allclose(found.to_mean, 0, atol=1e-3)


def test_a_refined_head_has_the_steps_of_the_head_in_it(tmp_path) -> None:
    head = RefinementHead(RefinementHead(small(ORDER), 16.0, 8, 4), 16.0, 8, 4)
    run = write_run(tmp_path / "run", head, np.zeros((6, 14, 2)))
    assert list(read_run(run, None)[1]) == ORDER


def test_what_cannot_be_read_gets_one_sentence(tmp_path, monkeypatch) -> None:
    run = write_run(tmp_path / "run", small(), np.zeros((6, 14, 2)))
    with pytest.raises(DataError, match=r"mask/keypoints .*found sequence/keypoints; choose"):
        read_run(run, "mask")
    fewer = write_run(tmp_path / "few", small(), np.zeros((5, 14, 2)))
    monkeypatch.setattr("sys.argv", ["mean_pose.py", str(run), "--against", str(fewer)])
    with pytest.raises(
        DataError, match=r"people, joints and input of the first run in .*few, found others"
    ):
        mean_pose.main()
    (run / "predictions.npz").unlink()
    with pytest.raises(DataError, match="found none; name a finished run"):
        read_run(run, None)
