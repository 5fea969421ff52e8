"""Errors of joints, and the refusal of keypoints that cannot be compared."""

import math

import numpy as np
import pytest
import torch

from lightning_pose.errors import ConfigError, DataError, DivergedError
from lightning_pose.metrics import joint_errors
from lightning_pose.metrics.joints import (
    SUM_DTYPE,
    check_average,
    check_keypoints,
    check_per_person,
    distances,
)


def people(count=5, joints=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(count, joints, 2, generator=generator) * 100
    preds = target + torch.randn(count, joints, 2, generator=generator) * 5
    labelled = torch.rand(count, joints, generator=generator) < 0.7
    return preds, target, labelled


def test_errors_are_distances_where_a_joint_is_labelled_and_nan_elsewhere():
    preds, target, labelled = people()
    target[~labelled] = torch.nan
    errors = joint_errors(preds, target, labelled)
    for person in range(5):
        for joint in range(4):
            if labelled[person, joint]:
                wanted = math.dist(preds[person, joint].tolist(), target[person, joint].tolist())
                assert errors[person, joint].item() == pytest.approx(wanted, rel=1e-6)
            else:
                assert errors[person, joint].isnan()


def test_half_precision_does_not_round_the_target():
    # No bfloat16 value is within 0.75 of the target 1001.25; the prediction is represented exactly.
    preds = torch.tensor([[[1000.0, 0.0]]], dtype=torch.bfloat16)
    errors = joint_errors(preds, torch.tensor([[[1001.25, 0.0]]]), torch.tensor([[True]]))
    assert errors.item() == 1.25


def test_unchecked_distances_are_in_float64_and_keep_what_diverged():
    preds, target, labelled = people()
    checked = joint_errors(preds, target, labelled)
    errors = distances(preds, target, labelled)
    assert errors.dtype == SUM_DTYPE
    torch.testing.assert_close(errors.float(), checked, rtol=0, atol=0, equal_nan=True)
    preds[0] = torch.inf
    assert (distances(preds, target, labelled)[0] == torch.inf).equal(labelled[0])


def test_labelled_joints_without_a_position_and_diverged_predictions_are_refused():
    preds, target, labelled = people()
    broken = target.clone()
    broken[labelled.nonzero()[0][0], labelled.nonzero()[0][1], 1] = torch.nan
    with pytest.raises(DataError, match="every labelled joint"):
        joint_errors(preds, broken, labelled)
    for value in (torch.nan, torch.inf):
        broken = preds.clone()
        broken[0, 0, 0] = value
        with pytest.raises(DivergedError, match="finite predictions"):
            joint_errors(broken, target, labelled)


@pytest.mark.parametrize(
    ("preds", "target", "labelled", "message"),
    [
        (torch.zeros(2, 3, 2), torch.zeros(2, 4, 2), torch.ones(2, 3) > 0, "one shape"),
        (torch.zeros(2, 3, 3), torch.zeros(2, 3, 3), torch.ones(2, 3) > 0, "one shape"),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3) > 0, "one shape"),
        (torch.zeros(2, 3, 2), torch.zeros(2, 3, 2), torch.ones(2, 4) > 0, "as booleans"),
        (torch.zeros(2, 3, 2), torch.zeros(2, 3, 2), torch.ones(2, 3), "as booleans"),
        (torch.zeros(2, 3, 2).int(), torch.zeros(2, 3, 2), torch.ones(2, 3) > 0, "floating"),
    ],
)
def test_keypoints_that_do_not_fit_get_one_sentence(preds, target, labelled, message):
    with pytest.raises(DataError, match=message):
        check_keypoints(preds, target, labelled)


def test_no_people_are_not_an_error():
    errors = joint_errors(torch.zeros(0, 3, 2), torch.zeros(0, 3, 2), torch.zeros(0, 3) > 0)
    assert np.asarray(errors).shape == (0, 3)


def test_an_unknown_average_and_sizes_that_are_not_one_per_person_are_refused():
    # Called directly: the tests' shape and type checks come before these.
    with pytest.raises(ConfigError, match="one of macro, micro, none, found 'weighted'"):
        check_average("weighted")
    with pytest.raises(DataError, match="one number for each of 3 people"):
        check_per_person("normalizer", torch.ones(3, 1), people=3)
