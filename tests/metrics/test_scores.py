"""Each head gets the metrics for what it fills, and one metric is the main one."""

import math

import pytest
import torch

from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.geometry import apply_affine
from lightning_pose.metrics import PCK, RMSE, Dice, PCKh, Scores, default_metrics
from lightning_pose.prediction import Prediction
from lightning_pose.sample import PEOPLE_PER_SET
from lightning_pose.skeletons import LSP14, Skeleton
from lightning_pose.task import Task
from tests.metrics.people import make_people, predict, take, two_processes, unlabelled

TASK = Task(LSP14)
JOINTS, MASK = ("keypoints", "scores"), ("mask",)
HEADS = {"joints": JOINTS, "mask": MASK, "sport": ("probabilities",)}
LOSSES = {"": 5.0, "joints": 1.0, "mask": 2.0, "sport": 3.0}


def make(heads=HEADS, metrics=None, main_head="joints", main_metric=None, skeleton=LSP14) -> Scores:
    metrics = default_metrics(skeleton) if metrics is None else metrics
    return Scores(heads, metrics, Task(skeleton), main_head, main_metric)


def off_by(batch: Batch, pixels: float) -> Prediction:
    """Keypoints that are `pixels` source pixels to the right of the truth."""
    wrong = batch.source_keypoints + torch.tensor([pixels, 0.0])
    keypoints = apply_affine(batch.crop, wrong)
    return Prediction(keypoints, torch.ones(keypoints.shape[:2]))


def figures(batch: Batch, prediction: Prediction, **settings) -> dict[str, float]:
    scores = make(**settings)
    scores.update({settings.get("main_head", "joints"): prediction}, batch)
    return {name: value.item() for name, value in scores.compute(LOSSES).items()}


def test_a_head_is_judged_by_the_metrics_of_what_it_fills() -> None:
    batch = make_people()
    whole = predict(batch)
    predictions = {
        "joints": Prediction(keypoints=whole.keypoints, scores=whole.scores),
        "mask": Prediction(mask=whole.mask),
        "sport": Prediction(probabilities=torch.ones(12, 1)),
    }
    scores = make()
    found = scores.update(predictions, batch)
    assert set(found) == {"judged", "values"}
    assert {head: list(values) for head, values in found["values"].items()} == {
        "joints": ["PCKh", "PCK", "RMSE"],
        "mask": ["Dice"],
        "sport": [],
    }
    assert found["judged"]["joints"].prediction is predictions["joints"]
    assert found["judged"]["mask"].mask is not None
    assert set(scores.compute(LOSSES)) == {
        *("joints/PCKh", "joints/PCK", "joints/RMSE", "mask/Dice", "main"),
    }


def test_a_label_is_scored_if_it_is_known_which_one_it_is() -> None:
    batch = make_people()
    found = predict(batch)
    predictions = {
        "a": Prediction(probabilities=found.probabilities),
        "b": Prediction(value=found.value),
        "c": Prediction(value=found.value),
    }
    heads = {"a": ("probabilities",), "b": ("value",), "c": ("value",)}
    task = Task(LSP14, labels={"sport": ["judo", "golf"], "age": []})
    labels = {"a": "sport", "b": "age"}
    scores = Scores(heads, default_metrics(LSP14), task, "a", labels=labels)
    values = scores.update(predictions, batch)["values"]
    assert {head: list(one) for head, one in values.items()} == {
        "a": ["Accuracy"],
        "b": ["MAE"],
        "c": [],
    }
    computed = scores.compute({"": 1.0, "a": 1.0, "b": 1.0, "c": 1.0})
    known = batch.labels["sport"] >= 0
    right = found.probabilities.argmax(dim=1) == batch.labels["sport"]
    assert computed["main"] == computed["a/Accuracy"] == right[known].float().mean()
    age = (found.value - batch.labels["age"]).abs().nanmean()
    torch.testing.assert_close(computed["b/MAE"], age)


def test_values_and_figures_are_those_of_the_metrics_themselves() -> None:
    batch = make_people()
    scores = make({"joints": JOINTS, "both": (*JOINTS, *MASK)})
    predictions = {"joints": predict(batch, error=2.0), "both": predict(batch, error=9.0)}
    found = scores.update(predictions, batch)
    computed = scores.compute(LOSSES)
    for head, judged in found["judged"].items():
        for name, metric in default_metrics(LSP14).items():
            if f"{head}/{name}" not in computed:
                assert (head, name) == ("joints", "Dice") or name in ("Accuracy", "MAE")
                continue
            metric.build(TASK)
            values = metric.judge(judged)
            torch.testing.assert_close(found["values"][head][name], values, equal_nan=True)
            assert torch.equal(computed[f"{head}/{name}"], metric.compute())
    assert computed["joints/PCK"] > computed["both/PCK"]


def test_figures_of_groups_follow_their_metric() -> None:
    batch = make_people()
    scores = make({"a": JOINTS}, {"PCK@0.5": PCK(threshold=0.5, per="pair")}, "a")
    scores.update({"a": predict(batch)}, batch)
    found = scores.compute(LOSSES)
    assert {"a/PCK@0.5", "a/PCK@0.5/knee", "a/PCK@0.5/neck", "main"} < set(found)
    assert found["main"] == found["a/PCK@0.5"]


def test_each_metric_divides_by_its_own_size() -> None:
    batch = make_people(2)
    batch.head_size[:], batch.torso_size[:] = 20.0, 100.0
    # PCKh@0.5 allows 10 pixels here, PCK@0.2 allows 20.
    found = figures(batch, off_by(batch, 15.0))
    assert (found["joints/PCKh"], found["joints/PCK"]) == (0.0, 1.0)
    batch.head_size[:], batch.torso_size[:] = 100.0, 20.0
    found = figures(batch, off_by(batch, 15.0))
    assert (found["joints/PCKh"], found["joints/PCK"]) == (1.0, 0.0)


def test_the_defaults_are_those_that_the_skeleton_has_a_size_for() -> None:
    always = ["RMSE", "Dice", "Accuracy", "MAE"]
    assert list(default_metrics(LSP14)) == ["PCKh", "PCK", *always]
    headless = Skeleton(LSP14.names, (), (), (), torso=LSP14.torso)
    assert list(default_metrics(headless)) == ["PCK", *always]
    assert list(default_metrics(Skeleton(LSP14.names, (), (), ()))) == always
    found = {name: getattr(m, "threshold", None) for name, m in default_metrics(LSP14).items()}
    thresholds = {"PCKh": 0.5, "PCK": 0.2, "Dice": 0.5}
    assert found == dict.fromkeys(always) | thresholds


def test_main_is_higher_for_the_better_whatever_the_metric() -> None:
    batch = make_people(2)
    bare = Skeleton(LSP14.names, (), (), ())
    for skeleton in (LSP14, bare):
        near = figures(batch, off_by(batch, 1.0), skeleton=skeleton)["main"]
        far = figures(batch, off_by(batch, 500.0), skeleton=skeleton)["main"]
        assert near > far
    assert figures(batch, off_by(batch, 1.0), skeleton=bare)["main"] < 0, "an RMSE, negated"


def test_each_figure_has_the_direction_of_its_metric() -> None:
    metrics = {"PCKh": PCKh(per="pair"), "RMSE": RMSE(per="joint"), "Dice": Dice()}
    scores = make({"joints": JOINTS, "mask": MASK}, metrics=metrics, main_metric="RMSE")
    scores.divide(["lspet", "lsp"])
    directions = scores.directions()
    assert directions.keys() == scores.compute(LOSSES).keys()
    for key, higher in directions.items():
        assert higher == ("RMSE" not in key), key
    assert {"joints/PCKh/knee", "joints/RMSE/neck", "mask/Dice/lsp"} <= directions.keys()


def test_main_is_the_first_metric_that_has_a_value() -> None:
    batch = make_people(4)
    prediction = predict(batch)
    found = figures(batch, prediction)
    assert found["main"] == found["joints/PCKh"]
    batch.head_size[:] = 0
    found = figures(batch, prediction)
    assert math.isnan(found["joints/PCKh"])
    assert found["main"] == found["joints/PCK"]
    batch.torso_size[:] = 0
    found = figures(batch, prediction)
    assert found["main"] == -found["joints/RMSE"]
    scores = make()
    scores.update({"joints": prediction}, unlabelled(batch))
    assert math.isnan(scores.compute({"joints": torch.nan})["main"])
    # A head that no metric judges is judged by its loss.
    assert make(main_head="sport").compute(LOSSES)["main"] == -LOSSES["sport"]
    assert math.isnan(make(main_head="sport").compute({})["main"])


def test_main_may_be_any_metric_or_loss() -> None:
    batch = make_people()
    predictions = {"joints": predict(batch), "mask": Prediction(mask=predict(batch).mask)}

    def main(main_metric: str) -> tuple[float, dict[str, torch.Tensor]]:
        scores = make(main_metric=main_metric)
        scores.update(predictions, batch)
        found = scores.compute(LOSSES)
        return found["main"].item(), found

    for name, sign in (("PCK", 1), ("RMSE", -1), ("joints/RMSE", -1), ("mask/Dice", 1)):
        value, found = main(name)
        key = name if "/" in name else f"joints/{name}"
        assert value == sign * found[key].item()
    assert main("loss")[0] == -5.0
    assert main("joints/loss")[0] == -1.0
    assert main("sport/loss")[0] == -3.0
    scores = make(main_metric="mask/loss")
    assert scores.compute({**LOSSES, "mask": torch.tensor(math.nan)})["main"].isnan()


def test_main_is_nan_where_the_chosen_metric_has_no_value() -> None:
    batch = make_people(4)
    batch.head_size[:] = 0
    found = figures(batch, predict(batch), main_metric="PCKh")
    assert math.isnan(found["main"])
    assert not math.isnan(found["joints/PCK"])


def test_unknown_names_get_one_sentence() -> None:
    known = "PCKh, PCK, RMSE, joints/PCKh, joints/PCK, joints/RMSE, mask/Dice, loss, joints/loss"
    for name in ("OKS", "Dice", "mask/PCK", "hand/loss", "joints/", ""):
        with pytest.raises(ConfigError, match=f"main_metric to be one of {known}.* found '{name}'"):
            make(main_metric=name)
    with pytest.raises(ConfigError, match="main_head to be one of joints, mask, sport, found 'x'"):
        make(main_head="x")
    for name in ("a/b", "loss", "keypoints", "errors", ""):
        with pytest.raises(ConfigError, match=f"found '{name}'; rename it under model.metrics"):
            make(metrics={name: Dice()})


def test_metrics_are_copied_and_stay_as_they_were_declared() -> None:
    declared = {"PCKh": PCKh(), "Dice": Dice()}
    batch = make_people()
    declared["Dice"].update(preds=batch.mask == 1, target=batch.mask)
    validation, test = (make({"a": MASK, "b": MASK}, declared, "a") for _ in range(2))
    validation.update({"a": predict(batch)}, batch)
    assert declared["PCKh"].num_joints is None
    assert declared["Dice"].compute() == 1
    found = validation.compute(LOSSES)
    assert 0 < found["a/Dice"] < 1
    assert found["b/Dice"].isnan()
    assert test.compute(LOSSES)["a/Dice"].isnan()


def test_reset_forgets_a_validation_that_was_aborted() -> None:
    batch = make_people()
    scores, fresh = make(), make()
    scores.update({"joints": predict(take(batch, [0, 1]))}, take(batch, [0, 1]))
    scores.reset()
    for each in (scores, fresh):
        each.update({"joints": predict(batch)}, batch)
        # Computing alone forgets nothing.
        each.compute(LOSSES)
    found, wanted = scores.compute(LOSSES), fresh.compute(LOSSES)
    torch.testing.assert_close(found, wanted, equal_nan=True)


def mixed(sets: list[int]) -> Batch:
    """People of which each belongs to the set of a number."""
    batch = make_people(len(sets))
    batch.person_id += PEOPLE_PER_SET * torch.tensor(sets)
    return batch


def answers(batch: Batch) -> dict[str, Prediction]:
    whole = predict(batch, error=9.0)
    return {
        "joints": Prediction(keypoints=whole.keypoints, scores=whole.scores),
        "mask": Prediction(mask=whole.mask),
    }


@pytest.mark.parametrize("per", [None, "joint"])
def test_the_figures_of_a_set_are_those_of_its_people_alone(per) -> None:
    people = mixed([0, 0, 1, 0, 2, 1, 1, 0, 2, 2, 1, 0])
    metrics = {
        "PCK": PCK(per=per),
        "RMSE": RMSE(average="macro"),
        "Dice": Dice(),
        "global": Dice(average="global"),
    }
    scores = make(metrics=metrics)
    scores.divide(["lsp", "mpii", "coco"])
    # A batch of several sets, one of a single set, and a set of which nobody is in the last batch.
    for index in ([0, 1, 2, 3, 4], [5, 6], [7, 8, 9, 10], [11]):
        batch = take(people, index)
        scores.update(answers(batch), batch)
    found = scores.compute(LOSSES)
    whole = make(metrics=metrics)
    whole.update(answers(people), people)
    together = whole.compute(LOSSES)
    parts = {"lsp": [0, 1, 3, 7, 11], "mpii": [2, 5, 6, 10], "coco": [4, 8, 9]}
    expected = dict(together)
    for name, index in parts.items():
        alone = make(metrics=metrics)
        batch = take(people, index)
        alone.update(answers(batch), batch)
        figures = alone.compute(LOSSES)
        for key in ("joints/PCK", "joints/RMSE", "mask/Dice", "mask/global"):
            expected[f"{key}/{name}"] = figures[key]
            assert figures[key] != together[key]
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected)


def test_the_figures_of_a_set_are_exact_over_processes() -> None:
    people = mixed([0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1])
    shares, processes = ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10, 11]), [make(), make()]
    for scores, index in zip(processes, shares, strict=True):
        scores.divide(["lsp", "coco"])
        batch = take(people, index)
        scores.update(answers(batch), batch)
    alone = make()
    alone.divide(["lsp", "coco"])
    alone.update(answers(people), people)
    for key in ("joints/PCKh", "joints/RMSE", "mask/Dice"):
        for place in (None, 0, 1):
            two_processes([scores._metric(key, place) for scores in processes])
    torch.testing.assert_close(
        {key: processes[0].compute(LOSSES)[key] for key in ("joints/RMSE/coco", "mask/Dice/lsp")},
        {key: alone.compute(LOSSES)[key] for key in ("joints/RMSE/coco", "mask/Dice/lsp")},
    )


def test_a_set_of_which_nobody_came_has_no_figures_and_those_before_are_forgotten() -> None:
    people = mixed([0, 1, 0])
    scores = make()
    scores.divide(["lsp", "coco"])
    scores.update(answers(people), people)
    assert not scores.compute(LOSSES)["joints/RMSE/coco"].isnan()
    scores.reset()
    batch = take(people, [0, 2])
    scores.update(answers(batch), batch)
    computed = scores.compute(LOSSES)
    assert computed["joints/RMSE/coco"].isnan()
    assert computed["joints/RMSE/lsp"] == computed["joints/RMSE"]
    assert not computed["main"].isnan()
    # The next data are not a mix, and count from the start.
    scores.divide([])
    assert set(scores.compute(LOSSES)) == set(make().compute(LOSSES))
    assert scores.compute(LOSSES)["joints/RMSE"].isnan()


def test_pixels_of_padding_do_not_count() -> None:
    batch = make_people(2)
    probability = (batch.mask == 1).float()
    probability[:, :, 10:] = 1 - probability[:, :, 10:]
    batch.valid[:, :, 10:] = False
    assert figures(batch, Prediction(mask=probability), main_head="mask")["main"] == 1


def test_a_prediction_that_is_not_finite_scores_badly_and_stops_nothing() -> None:
    batch = make_people(2)
    batch.source_visibility[:] = 2
    batch.head_size[:] = 20.0
    prediction = off_by(batch, 0.0)
    assert prediction.keypoints is not None
    prediction.keypoints[0, 0, 0] = torch.nan
    found = figures(batch, prediction.finite())
    assert found["joints/PCKh"] == pytest.approx(1 - 0.5 / 14)
    assert found["joints/RMSE"] > 1e4
    # Even if somebody forgets `finite`, a joint that is NaN counts as missed and is not left out.
    assert figures(batch, prediction)["joints/PCKh"] == pytest.approx(1 - 0.5 / 14)
    nowhere = Prediction(mask=torch.full_like(batch.mask, 0).float() / 0).finite()
    assert figures(batch, nowhere, main_head="mask")["main"] == 0


def test_nothing_of_it_is_in_a_checkpoint() -> None:
    batch = make_people()
    scores = make()
    scores.update({"joints": predict(batch)}, batch)
    assert not scores.state_dict()
