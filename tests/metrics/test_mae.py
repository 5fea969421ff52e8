import numpy as np
import pytest
import torch

from lightning_pose.errors import DataError, DivergedError
from lightning_pose.metrics import MAE, judge, value_mae
from lightning_pose.prediction import Prediction
from tests.metrics.people import make_people


def test_it_is_the_mean_of_the_absolute_errors_of_known_numbers():
    preds, target = torch.randn(50) * 9, torch.randn(50) * 9
    target[::4] = torch.nan
    expected = np.nanmean(np.abs(preds.double().numpy() - target.double().numpy()))
    assert value_mae(preds, target).item() == pytest.approx(expected)
    metric = MAE()
    for part in torch.arange(50).split(7):
        metric.update(preds[part], target[part])
    assert metric.compute().item() == pytest.approx(expected)


def test_a_large_sum_is_exact():
    metric = MAE()
    for _ in range(3):
        metric.update(torch.full((1000,), 1e7 + 1), torch.full((1000,), 1e7))
    assert metric.compute() == 1


def test_each_person_has_an_error_or_is_unknown():
    batch = make_people(3)
    batch.labels["age"] = torch.tensor([30.0, torch.nan, 41.5])
    found = Prediction(value=torch.tensor([28.0, 50.0, 42.0]))
    values = MAE().judge(judge(found, batch, "age"))
    np.testing.assert_equal(values.numpy(), [2.0, np.nan, 0.5])


def test_bad_input_is_refused():
    # Past the run-time type checks of these tests.
    with pytest.raises(DataError, match=r"of one shape \(B,\), found \(2,\) and \(3,\)"):
        value_mae.__wrapped__(torch.zeros(2), torch.zeros(3))
    with pytest.raises(DivergedError, match="found NaN or infinity"):
        MAE().update(torch.tensor([torch.nan]), torch.zeros(1))
