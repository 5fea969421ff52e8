import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from lightning_pose.errors import ConfigError, DataError
from lightning_pose.metrics import Accuracy, class_accuracy, judge
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.metrics.people import make_people


def draw(count=200):
    """Guesses that are often right, for four classes of which some are rare."""
    target = torch.multinomial(torch.tensor([0.6, 0.25, 0.1, 0.05]), count, replacement=True)
    preds = (torch.rand(count, 4) + 0.5 * torch.nn.functional.one_hot(target, 4)) / 2
    target[torch.rand(count) < 0.2] = -1
    return preds, target


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_it_is_what_torchmetrics_computes_for_the_known_classes(average):
    preds, target = draw()
    expected = multiclass_accuracy(preds, target, num_classes=4, average=average, ignore_index=-1)
    torch.testing.assert_close(class_accuracy(preds, target, average), expected)
    metric = Accuracy(average, num_classes=4)
    for part in torch.arange(200).split(37):
        metric.update(preds[part], target[part])
    torch.testing.assert_close(metric.compute(), expected)


def test_a_rare_class_counts_as_much_as_a_frequent_one_when_balanced():
    preds = torch.tensor([[1.0, 0.0]] * 10)
    target = torch.tensor([0] * 9 + [1])
    assert class_accuracy(preds, target).item() == pytest.approx(0.9)
    assert class_accuracy(preds, target, "macro").item() == pytest.approx(0.5)
    # A class that never occurs is left out.
    wider = torch.cat((preds, torch.zeros(10, 1)), dim=1)
    assert class_accuracy(wider, target, "macro").item() == pytest.approx(0.5)


def test_each_person_is_right_or_wrong_or_unknown():
    batch = make_people(4)
    batch.labels["sport"] = torch.tensor([0, 1, -1, 0])
    preds = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    metric = Accuracy(num_classes=2)
    values = metric.judge(judge(Prediction(probabilities=preds), batch, "sport"))
    np.testing.assert_equal(values.numpy(), [1.0, 0.0, np.nan, 0.0])


def test_in_a_model_the_classes_are_those_of_the_labels_whichever_has_the_most():
    metric = Accuracy()
    metric.build(Task(LSP14, labels={"sport": ["a", "b"], "hat": list("abcd"), "age": []}))
    metric.update(torch.rand(3, 2), torch.tensor([0, 1, 1]))
    metric.update(torch.rand(3, 4), torch.tensor([0, 3, 1]))
    assert metric.count.tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        (torch.rand(3, 2), torch.zeros(2).long(), r"\(B, C\) and target of shape \(B,\), found"),
        (torch.rand(2, 2), torch.tensor([0, 2]), "classes below 2, and -1 .* found 0 to 2"),
        (torch.rand(2, 2), torch.tensor([0, -2]), "classes below 2, and -1 .* found -2 to 0"),
    ],
)
def test_bad_input_is_refused(preds, target, message):
    # Past the run-time type checks of these tests.
    with pytest.raises(DataError, match=message):
        class_accuracy.__wrapped__(preds, target)


def test_a_class_that_there_is_not_is_not_counted():
    metric = Accuracy(num_classes=2)
    with pytest.raises(DataError, match="classes below 2"):
        metric.update(torch.rand(1, 2), torch.tensor([2]))
    assert metric.compute().isnan()


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="num_classes of 2, found None; give it, or call build"):
        Accuracy().update(torch.rand(1, 2), torch.tensor([0]))
    with pytest.raises(ConfigError, match="at least 1 class, found 0"):
        Accuracy(num_classes=0)
    assert Accuracy().compute().isnan()
