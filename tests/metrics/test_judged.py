"""The record from which every metric of a head is computed: frames, labels and padding."""

import math

import pytest
import torch

from lightning_pose.geometry import apply_affine
from lightning_pose.metrics import judge
from lightning_pose.prediction import Prediction
from tests.metrics.people import make_people, predict


def test_errors_are_in_source_and_in_input_pixels():
    batch = make_people()
    batch.crop[:] = torch.tensor([[2.0, 0.0, 5.0], [0.0, 0.5, 7.0]])
    wrong = batch.source_keypoints + torch.tensor([3.0, 4.0])
    judged = judge(Prediction(apply_affine(batch.crop, wrong), torch.ones(12, 14)), batch)
    torch.testing.assert_close(judged.keypoints, wrong, rtol=1e-5, atol=1e-4)
    for errors, wanted in ((judged.errors, 5.0), (judged.input_errors, math.hypot(6, 2))):
        assert errors.isnan().equal(batch.source_visibility == 0)
        found = errors[batch.source_visibility > 0]
        assert found.tolist() == pytest.approx([wanted] * len(found), rel=1e-4)


def test_a_joint_that_the_crop_has_cut_off_still_counts():
    batch = make_people()
    cut_off = (batch.source_visibility > 0) & (batch.visibility == 0)
    assert cut_off.any()
    assert judge(predict(batch), batch).errors[cut_off].isfinite().all()


def test_the_true_mask_is_unknown_in_the_padding():
    batch = make_people()
    judged = judge(predict(batch), batch)
    assert (judged.mask[~batch.valid] == -1).all()
    assert torch.equal(judged.mask[batch.valid], batch.mask[batch.valid])
    assert (batch.mask[~batch.valid] >= 0).any(), "the batch itself stays as it was"


def test_what_a_head_does_not_fill_is_not_judged():
    batch = make_people()
    whole = predict(batch)
    assert judge(whole, batch).label is None
    joints = judge(Prediction(keypoints=whole.keypoints, scores=whole.scores), batch)
    assert joints.mask is None
    mask = judge(Prediction(mask=whole.mask), batch)
    assert mask.keypoints is mask.errors is mask.input_errors is None


def test_the_label_is_the_one_that_the_head_predicts():
    batch = make_people()
    for name in ("sport", "age"):
        judged = judge(predict(batch), batch, name)
        assert torch.equal(judged.label.nan_to_num(-1.0), batch.labels[name].nan_to_num(-1.0))
        chosen = judged.select([3, 1])
        assert torch.equal(
            chosen.label.nan_to_num(-1.0), batch.labels[name][[3, 1]].nan_to_num(-1.0)
        )


def test_coordinates_in_half_precision_are_mapped_back_in_single_precision():
    batch = make_people()
    batch.crop[:] = torch.tensor([[0.3, 0.0, -50.0], [0.0, 0.3, 20.0]])
    half = predict(batch).keypoints.bfloat16()
    found, single = (
        judge(Prediction(keypoints, torch.ones(12, 14)), batch)
        for keypoints in (half, half.float())
    )
    assert found.keypoints.dtype == torch.float32
    torch.testing.assert_close(found.keypoints, single.keypoints, rtol=0, atol=0)
    torch.testing.assert_close(
        found.input_errors, single.input_errors, rtol=0, atol=0, equal_nan=True
    )
