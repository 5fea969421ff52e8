"""The contract of every metric; a new metric adds one row here."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_pose import metrics
from lightning_pose.geometry import apply_affine
from lightning_pose.metrics import Judged, PoseMetric, judge
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.metrics.people import make_people, predict, take, two_processes, unlabelled

TASK = Task(LSP14, labels={"sport": ["judo", "golf"], "age": []})
COUNTED = [name for name in LSP14.names if name not in ("left_wrist", "head_top")]


def joints(judged: Judged, normalizer: Tensor) -> dict[str, Tensor]:
    """What PCK's `update` takes: joints in source pixels, and a size."""
    return {
        "preds": judged.keypoints,
        "target": judged.batch.source_keypoints,
        "labelled": judged.batch.source_labelled,
        "normalizer": normalizer,
    }


def torso(judged: Judged) -> dict[str, Tensor]:
    return joints(judged, judged.batch.torso_size)


def head(judged: Judged) -> dict[str, Tensor]:
    return joints(judged, judged.batch.head_size)


def longer_side(judged: Judged) -> dict[str, Tensor]:
    box = judged.batch.box
    return joints(judged, torch.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]))


def cropped(judged: Judged) -> dict[str, Tensor]:
    """What RMSE's `update` takes: joints in input pixels."""
    return {
        "preds": judged.prediction.keypoints,
        "target": apply_affine(judged.batch.crop, judged.batch.source_keypoints),
        "labelled": judged.batch.source_labelled,
        "scale": torch.ones(len(judged.batch)),
    }


def cropped_visible(judged: Judged) -> dict[str, Tensor]:
    return {**cropped(judged), "labelled": judged.batch.source_visibility == 2}


def masks(judged: Judged) -> dict[str, Tensor]:
    batch = judged.batch
    return {"preds": judged.prediction.mask, "target": batch.mask, "valid": batch.valid}


def classes(judged: Judged) -> dict[str, Tensor]:
    return {"preds": judged.prediction.probabilities, "target": judged.batch.labels["sport"]}


def numbers(judged: Judged) -> dict[str, Tensor]:
    return {"preds": judged.prediction.value, "target": judged.batch.labels["age"]}


METRICS: dict[str, tuple[Callable[[], PoseMetric], Callable[[Judged], dict[str, Tensor]]]] = {
    "pck": (metrics.PCK, torso),
    "pck_micro_per_joint": (lambda: metrics.PCK(average="micro", per="joint"), torso),
    "pck_of_the_box": (lambda: metrics.PCK(threshold=0.1, size="box"), longer_side),
    "pckh": (metrics.PCKh, head),
    "pckh_selected_per_pair": (lambda: metrics.PCKh(joints=COUNTED, per="pair"), head),
    "rmse": (metrics.RMSE, cropped),
    "rmse_selected_per_pair": (lambda: metrics.RMSE(joints=COUNTED, per="pair"), cropped),
    "rmse_visible_only": (lambda: metrics.RMSE(visible_only=True), cropped_visible),
    "dice": (metrics.Dice, masks),
    "dice_global": (lambda: metrics.Dice(average="global", threshold=0.3), masks),
    "accuracy": (metrics.Accuracy, classes),
    "accuracy_balanced": (lambda: metrics.Accuracy(average="macro"), classes),
    "mae": (metrics.MAE, numbers),
}
"""How each metric is created, and which plain tensors its `update` takes."""

names = pytest.mark.parametrize("name", list(METRICS))


def make(name: str) -> PoseMetric:
    metric = METRICS[name][0]()
    metric.build(TASK)
    return metric


LABELS = {metrics.Accuracy: "sport", metrics.MAE: "age"}


def record(batch: Any, name: str) -> Judged:
    """The record of a head that predicts what a metric scores."""
    return judge(predict(batch), batch, LABELS.get(type(make(name))))


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    torch.testing.assert_close(first, second, rtol=1e-6, atol=0, equal_nan=True)


def test_every_metric_has_a_row() -> None:
    exported = [getattr(metrics, name) for name in metrics.__all__]
    found = {m for m in exported if isinstance(m, type) and issubclass(m, PoseMetric)}
    assert {type(make(name)) for name in METRICS} == found - {PoseMetric}


@names
def test_batches_change_nothing(name: str) -> None:
    batch = make_people(13)
    whole = make(name)
    values = whole.judge(record(batch, name))
    assert values.dtype == torch.float32
    assert whole.results()[""].isfinite()
    for lengths in ([13], [1] * 13, [5, 1, 7]):
        metric, found = make(name), []
        for index in torch.arange(13).split(lengths):
            found.append(metric.judge(record(take(batch, index), name)))
            # Computing between batches changes nothing either, and no result is stale.
            metric.results()
        equal(metric.results(), whole.results())
        equal({"": torch.cat(found)}, {"": values})


@names
def test_a_persons_value_is_the_metric_on_that_person_alone(name: str) -> None:
    batch = make_people(13)
    values = make(name).judge(record(batch, name))
    assert values.isnan().any()
    assert values.isfinite().any()
    for person, value in enumerate(values):
        alone = make(name)
        (again,) = alone.judge(record(take(batch, [person]), name))
        equal({"": alone.compute(), "again": again}, {"": value, "again": value})


@names
def test_the_record_and_plain_tensors_give_the_same_figures(name: str) -> None:
    judged = record(make_people(13), name)
    first, second = make(name), make(name)
    first.judge(judged)
    second.update(**METRICS[name][1](judged))
    torch.testing.assert_close(first.results(), second.results(), rtol=1e-5, atol=1e-5)


@names
def test_the_figure_without_a_name_is_what_compute_returns(name: str) -> None:
    metric = make(name)
    metric.judge(record(make_people(), name))
    assert torch.equal(metric.results()[""], metric.compute())
    assert all(figure.dtype == torch.float32 for figure in metric.results().values())


@names
def test_reset_forgets(name: str) -> None:
    metric, fresh = make(name), make(name)
    metric.judge(record(make_people(5, seed=3), name))
    metric.reset()
    assert metric.compute().isnan()
    for each in (metric, fresh):
        each.judge(record(make_people(), name))
    equal(metric.results(), fresh.results())


@names
def test_nobody_labelled_is_nan_without_a_warning(name: str) -> None:
    # Warnings are errors in these tests.
    metric = make(name)
    assert all(figure.isnan() for figure in metric.results().values())
    assert metric.judge(record(unlabelled(make_people()), name)).isnan().all()
    assert all(figure.isnan() for figure in metric.results().values())


@names
def test_people_without_a_label_do_not_count(name: str) -> None:
    batch = make_people()
    metric, beside = make(name), make(name)
    for each in (metric, beside):
        each.judge(record(batch, name))
    beside.judge(record(unlabelled(make_people(seed=5)), name))
    equal(beside.results(), metric.results())


@names
def test_a_clone_has_states_of_its_own(name: str) -> None:
    metric = make(name)
    clone = metric.clone()
    clone.judge(record(make_people(), name))
    assert metric.compute().isnan()
    assert clone.compute().isfinite()


@names
def test_every_argument_is_an_attribute_from_which_it_is_made_again(name: str) -> None:
    for metric in (METRICS[name][0](), make(name)):
        arguments = {
            key: getattr(metric, key) for key in inspect.signature(type(metric)).parameters
        }
        again = type(metric)(**arguments)
        again.build(TASK)
        expected = make(name)
        for each in (again, expected):
            each.judge(record(make_people(), name))
        equal(again.results(), expected.results())


@names
def test_two_processes_have_the_figures_of_one(name: str) -> None:
    batch = make_people(13)
    whole = make(name)
    whole.judge(record(batch, name))
    shares = [make(name), make(name)]
    for share, index in zip(shares, torch.arange(13).split([4, 9]), strict=True):
        share.judge(record(take(batch, index), name))
    alone = [share.results() for share in shares]
    two_processes(shares)
    for share in shares:
        equal(share.results(), whole.results())
        equal({"": share.compute()}, {"": whole.compute()})
    for share, figures in zip(shares, alone, strict=True):
        share.distributed_available_fn = lambda: False
        equal(share.results(), figures)  # Gathered states are not kept.


@names
def test_states_keep_no_graph_and_stay_out_of_checkpoints(name: str) -> None:
    batch = make_people()
    prediction = predict(batch)
    for field in prediction.fields():
        getattr(prediction, field).requires_grad_()
    metric = make(name)
    values = metric.judge(judge(prediction, batch, LABELS.get(type(metric))))
    assert not values.requires_grad
    assert not any(state.requires_grad for state in metric.metric_state.values())
    assert not metric.state_dict()


@names
def test_a_cast_of_the_module_keeps_the_sums_exact(name: str) -> None:
    metric, plain = make(name), make(name)
    torch.nn.ModuleDict({"metric": metric}).to(torch.bfloat16)
    for each in (metric, plain):
        each.judge(record(make_people(), name))
    equal(metric.results(), plain.results())
