"""That each figure is of what it says: the right size, frame, sign and pixels."""

import pytest
import torch

from lightning_pose.batch import Batch, Prediction
from lightning_pose.geometry import apply_affine, crop_scale
from lightning_pose.heads import MaskHead, RegressionHead
from lightning_pose.scores import Scores
from lightning_pose.skeletons import LSP14, Skeleton
from tests.batches import make_batch


def off_by(batch: Batch, pixels: float) -> Prediction:
    """Keypoints that are `pixels` source pixels right of the truth."""
    wrong = batch.source_keypoints + torch.tensor([pixels, 0.0])
    keypoints = apply_affine(batch.crop, wrong)
    return Prediction(keypoints, torch.ones(keypoints.shape[:2]))


def figures(batch: Batch, prediction: Prediction, skeleton: Skeleton = LSP14) -> dict[str, float]:
    scores = Scores({"joints": RegressionHead()}, skeleton, "joints")
    scores.update({"joints": prediction}, batch)
    return {name: value.item() for name, value in scores.compute().items()}


def test_each_metric_divides_by_its_own_size() -> None:
    batch = make_batch(2)
    batch.head_size[:], batch.torso_size[:] = 20.0, 100.0
    # PCKh@0.5 allows 10 pixels here, PCK@0.2 allows 20.
    found = figures(batch, off_by(batch, 15.0))
    assert (found["joints/PCKh"], found["joints/PCK"]) == (0.0, 1.0)
    batch.head_size[:], batch.torso_size[:] = 100.0, 20.0
    found = figures(batch, off_by(batch, 15.0))
    assert (found["joints/PCKh"], found["joints/PCK"]) == (1.0, 0.0)


def test_rmse_is_in_pixels_of_the_crop() -> None:
    batch = make_batch(2)
    found = figures(batch, off_by(batch, 10.0))
    expected = 10 * crop_scale(batch.crop).square().mean().sqrt().item()
    assert found["joints/RMSE"] == pytest.approx(expected, rel=1e-4)


def test_main_is_higher_for_the_better_whatever_the_metric() -> None:
    batch = make_batch(2)
    bare = Skeleton(LSP14.names, LSP14.limbs, LSP14.flip_pairs, LSP14.colours)
    for skeleton in (LSP14, bare):
        near = figures(batch, off_by(batch, 1.0), skeleton)["main"]
        far = figures(batch, off_by(batch, 500.0), skeleton)["main"]
        assert near > far
    assert figures(batch, off_by(batch, 1.0), bare)["main"] < 0, "an RMSE, turned round"


def test_pixels_of_padding_do_not_count() -> None:
    batch = make_batch(2)
    probability = (batch.mask == 1).float()
    probability[:, :, 40:] = 1 - probability[:, :, 40:]
    batch.valid[:, :, 40:] = False
    scores = Scores({"mask": MaskHead()}, LSP14, "mask")
    scores.update({"mask": Prediction(mask=probability)}, batch)
    assert scores.compute()["main"] == 1


def test_a_prediction_that_is_not_finite_scores_badly_and_stops_nothing() -> None:
    batch = make_batch(2)
    prediction = off_by(batch, 0.0)
    assert prediction.keypoints is not None
    prediction.keypoints[0, 0, 0] = torch.nan
    found = figures(batch, prediction.finite())
    assert found["joints/PCKh"] == pytest.approx(1 - 0.5 / 14)
    assert found["joints/RMSE"] > 1e4
    nowhere = Prediction(mask=torch.full((2, 64, 64), torch.nan)).finite()
    scores = Scores({"mask": MaskHead()}, LSP14, "mask")
    scores.update({"mask": nowhere}, batch)
    assert scores.compute()["main"] == 0
