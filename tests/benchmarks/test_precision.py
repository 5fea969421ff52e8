"""Every head is compared, on labels that mean what they say, by a test that sees differences."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from benchmarks import precision
from lightning_pose import heads
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch


def test_every_head_is_compared():
    ours = {getattr(heads, name) for name in heads.__all__} - {heads.Head}
    assert ours == {type(make()) for make in precision.HEADS.values()}


def test_labels_follow_from_the_joints():
    batch = make_batch(3)
    top, hips = LSP14.names.index("head_top"), LSP14.names.index("left_hip")
    batch.keypoints[:] = torch.tensor([5.0, 30.0])
    batch.keypoints[0, top, 1] = 10.0
    batch.keypoints[1, top, 1] = 50.0
    batch.visibility[2, hips] = 0
    labels = precision.add_labels(batch).labels
    assert labels["upright"].tolist() == [1, 0, -1]
    np.testing.assert_equal(labels["height"].numpy(), [20.0, 20.0, np.nan])


def test_a_difference_is_real_only_beyond_the_noise_of_seeds():
    full = [0.50, 0.52, 0.51]
    assert precision.difference([0.31, 0.29, 0.30], full, 14).endswith("real")
    assert not precision.difference([0.49, 0.53, 0.505], full, 14).endswith("real")


def test_a_few_steps_lower_the_loss_in_both_precisions():
    batches = precision.batches_of("train", 32)
    for dtype in (torch.float32, torch.bfloat16):
        training = precision.Training("value", dtype, 0, "cpu")
        _, before = training.score(batches)
        training = precision.Training("value", dtype, 0, "cpu")
        training.train(batches, 8)
        metric, after = training.score(batches)
        assert metric == "MAE"
        assert after > before
