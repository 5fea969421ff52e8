"""RMSE against a plain loop and, with the real data, the protocol's own scorer."""

import importlib.util
import math

import numpy as np
import pytest
import torch
import torchmetrics

from lightning_pose.errors import ConfigError, DataError
from lightning_pose.geometry import apply_affine
from lightning_pose.metrics import PCK, RMSE, PCKh, judge, keypoint_rmse
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.metrics.people import make_people

JOINTS = 4


def people(count=31, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(count, JOINTS, 2, generator=generator) * 100
    return {
        "preds": target + torch.randn(count, JOINTS, 2, generator=generator) * 5,
        "target": target,
        "labelled": torch.rand(count, JOINTS, generator=generator) < 0.7,
        "scale": torch.rand(count, generator=generator) + 0.5,
    }


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
def test_it_is_its_definition(average):
    data = people()
    data["labelled"][:, 1] = False
    data["target"][~data["labelled"]] = torch.nan
    squares = [[] for _ in range(JOINTS)]
    for person, joint in data["labelled"].nonzero().tolist():
        points = (data[name][person, joint].tolist() for name in ("preds", "target"))
        squares[joint].append((math.dist(*points) * data["scale"][person].item()) ** 2)
    values = [math.sqrt(sum(s) / len(s)) if s else math.nan for s in squares]
    every = [square for joint in squares for square in joint]
    wanted = {
        "none": values,
        "macro": float(np.nanmean(values)),
        "micro": math.sqrt(sum(every) / len(every)),
    }[average]
    metric = RMSE(JOINTS, average=average)
    metric.update(**data)
    np.testing.assert_allclose(metric.compute().numpy(), wanted, rtol=1e-5)
    np.testing.assert_array_equal(keypoint_rmse(**data, average=average), metric.compute())


def test_it_is_larger_than_the_error_of_coordinates_by_the_root_of_two():
    data = people()
    data["labelled"][:] = True
    data["scale"][:] = 1.0
    coordinates = torchmetrics.MeanSquaredError(squared=False)
    value = coordinates(data["preds"].flatten(), data["target"].flatten())
    torch.testing.assert_close(keypoint_rmse(**data), value * math.sqrt(2))


def test_neither_batches_nor_processes_change_it():
    data = people()
    shares = [RMSE(JOINTS) for _ in range(2)]
    for batch, index in enumerate(torch.arange(31).split(4)):
        shares[batch % 2].update(**{name: value[index] for name, value in data.items()})
    shares[0].merge_state(shares[1])
    torch.testing.assert_close(shares[0].compute(), keypoint_rmse(**data), rtol=1e-7, atol=0)


def test_small_errors_are_not_lost_in_a_large_sum():
    # In float32 a hundred errors of 1 vanish beside a sum of 2e9.
    metric = RMSE(num_joints=1)
    known, one = torch.tensor([[True]]), torch.ones(1)
    large = torch.tensor([[[45_000.0, 0.0]]])
    metric.update(preds=large, target=torch.zeros(1, 1, 2), labelled=known, scale=one)
    for _ in range(100):
        metric.update(preds=large / 45_000, target=torch.zeros(1, 1, 2), labelled=known, scale=one)
    assert metric.total.item() == 45_000**2 + 100


def test_a_model_counts_input_pixels_also_where_the_crop_is_stretched():
    batch = make_people(3)
    batch.crop[:] = torch.tensor([[2.0, 0.0, 5.0], [0.0, 0.5, 7.0]])
    wrong = apply_affine(batch.crop, batch.source_keypoints + torch.tensor([3.0, 4.0]))
    metric = RMSE()
    metric.build(Task(LSP14))
    metric.judge(judge(Prediction(wrong, torch.ones(3, 14)), batch))
    assert metric.compute().item() == pytest.approx(math.hypot(6, 2), rel=1e-5)


def test_bad_input_gets_one_sentence_and_changes_nothing():
    with pytest.raises(ConfigError, match="at least 1 joint"):
        RMSE(0)
    data = people()
    with pytest.raises(DataError, match="of 3 joints, found 4"):
        RMSE(3).update(**data)
    for scale in (0.0, -1.0, torch.nan, torch.inf):
        metric, broken = RMSE(JOINTS), data["scale"].clone()
        broken[3] = scale
        with pytest.raises(DataError, match="finite scale above 0"):
            metric.update(**{**data, "scale": broken})
        assert metric.count.sum() == 0


def test_the_protocols_own_scorer_says_the_same(real_data):
    path = real_data.parent / "tools" / "score_lspe.py"
    if not path.exists():
        pytest.skip("score_lspe.py is not in the tools folder beside LIGHTNING_POSE_DATA")
    spec = importlib.util.spec_from_file_location("score_lspe", path)
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    truth, visible = (array[8500:9250] for array in scorer.load(real_data / "lspet" / "joints.mat"))
    preds = truth + np.random.default_rng(0).normal(scale=12, size=truth.shape)
    wanted = scorer.score(preds, truth, visible)

    def segment(first, second):
        known = visible[:, first] & visible[:, second]
        length = np.linalg.norm(truth[:, first] - truth[:, second], axis=1)
        return torch.from_numpy(np.where(known, length, 0.0))

    data = {
        "preds": torch.from_numpy(preds),
        "target": torch.from_numpy(truth),
        "labelled": torch.from_numpy(visible),
    }
    scale = torch.from_numpy(128 / scorer.boxes(truth, visible)[1])
    for metric, sizes, name, key in (
        (PCK(14), {"normalizer": segment(8, 3)}, "PCK@0.2", "mean_joint"),
        (PCK(14, average="micro"), {"normalizer": segment(8, 3)}, "PCK@0.2", "mean_all"),
        (PCKh(14), {"normalizer": segment(12, 13)}, "PCKh@0.5", "mean_joint"),
        (RMSE(14), {"scale": scale}, "RMSE_crop128", "all"),
    ):
        metric.update(**data, **sizes)
        assert metric.compute().item() == pytest.approx(wanted[name][key], rel=1e-6)
    assert 0.1 < wanted["PCK@0.2"]["mean_joint"] < 0.9
