"""PCK and PCKh against plain loops, published results and an independent scorer."""

import math

import matplotlib
import numpy as np
import pytest
import scipy.io
import torch

from lightning_pose.errors import ConfigError, DataError, DivergedError
from lightning_pose.geometry import apply_affine
from lightning_pose.metrics import PCK, PCKh, judge, keypoint_pck, keypoint_pckh
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import Skeleton
from lightning_pose.task import Task
from tests.metrics.people import make_people

JOINTS = 5


def people(count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(count, JOINTS, 2, generator=generator) * 100
    return {
        "preds": target + torch.randn(count, JOINTS, 2, generator=generator) * 5,
        "target": target,
        "labelled": torch.rand(count, JOINTS, generator=generator) < 0.7,
        "normalizer": torch.rand(count, generator=generator) * 20,
    }


def rows(people, index):
    return {name: value[index] for name, value in people.items()}


def reference(people, threshold, average):
    """The definition, one joint at a time."""
    hits = [[] for _ in range(JOINTS)]
    for person, normalizer in enumerate(people["normalizer"].tolist()):
        if not (math.isfinite(normalizer) and normalizer > 0):
            continue
        for joint in range(JOINTS):
            if people["labelled"][person, joint]:
                points = (people[name][person, joint].tolist() for name in ("preds", "target"))
                hits[joint].append(math.dist(*points) <= threshold * normalizer)
    values = [sum(hit) / len(hit) if hit else math.nan for hit in hits]
    every = [one for hit in hits for one in hit]
    return {
        "none": values,
        "macro": float(np.mean([value for value in values if not math.isnan(value)])),
        "micro": sum(every) / len(every),
    }[average]


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
@pytest.mark.parametrize(
    ("metric", "function", "threshold"), [(PCK, keypoint_pck, 0.2), (PCKh, keypoint_pckh, 0.5)]
)
def test_it_is_its_definition(metric, function, threshold, average):
    data = people()
    data["normalizer"][:4] = torch.tensor([0.0, -3.0, torch.nan, torch.inf])
    data["labelled"][:, 2] = False
    wanted = reference(data, threshold, average)
    made = metric(num_joints=JOINTS, average=average)
    assert made.threshold == threshold
    made.update(**data)
    np.testing.assert_allclose(made.compute().numpy(), wanted, rtol=1e-6)
    np.testing.assert_array_equal(function(**data, average=average), made.compute())


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
def test_neither_batches_nor_processes_change_it(average):
    data = people(count=37)
    whole = keypoint_pck(**data, average=average)
    shares = [PCK(JOINTS, average=average) for _ in range(2)]
    for batch, index in enumerate(torch.arange(37).split(5)):
        shares[batch % 2].update(**rows(data, index))
    shares[0].merge_state(shares[1])
    np.testing.assert_array_equal(shares[0].compute(), whole)
    # The mean of the batches' values is a different number, which would be wrong.
    means = [keypoint_pck(**rows(data, i), average=average) for i in torch.arange(37).split(5)]
    assert not torch.allclose(torch.stack(means).mean(dim=0), whole, atol=1e-4)


def test_an_error_of_just_the_threshold_is_right_and_units_do_not_matter():
    known = torch.ones(1, 2, dtype=torch.bool)
    preds = torch.tensor([[[3.0, 4.0], [3.0, 4.001]]])
    for zoom in (1.0, 2.0, 1024.0):
        value = keypoint_pckh(
            preds * zoom, torch.zeros(1, 2, 2), known, torch.tensor([10.0]) * zoom, average="none"
        )
        assert value.tolist() == [1.0, 0.0]


def test_a_joint_far_off_counts_as_missed_and_an_unlabelled_one_not_at_all():
    data = people(count=1)
    data["preds"] = data["target"].clone()
    data["labelled"][:] = torch.tensor([[True, True, False, False, False]])
    data["preds"][0, 1] += 1e6
    data["target"][0, 3] = torch.nan
    assert keypoint_pck(**data).item() == 0.5
    assert keypoint_pck(**data, average="micro").item() == 0.5


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
def test_nothing_labelled_is_nan(average):
    data = people(count=3)
    data["labelled"][:] = False
    assert keypoint_pck(**data, average=average).isnan().all()


def test_counts_survive_a_cast_of_the_module_and_reset():
    metric = PCK(JOINTS)
    module = torch.nn.ModuleDict({"metric": metric}).to(torch.bfloat16)
    data = people()
    metric.update(**data)
    assert metric.compute() == keypoint_pck(**data)
    metric.reset()
    assert metric.count.sum() == 0
    assert not module.state_dict()


def test_it_plots():
    matplotlib.use("agg")
    data = people()
    for average, lines in (("macro", 1), ("none", JOINTS)):
        metric = PCKh(JOINTS, average=average)
        metric.update(**data)
        figure, axes = metric.plot()
        assert len(axes.lines) == lines
        matplotlib.pyplot.close(figure)


def test_bad_settings_and_bad_input_get_one_sentence():
    with pytest.raises(ConfigError, match="at least 1 joint"):
        PCK(0)
    for threshold in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="threshold above 0"):
            PCKh(JOINTS, threshold=threshold)
    data = people()
    with pytest.raises(DataError, match="of 6 joints, found 5"):
        PCK(6).update(**data)
    data["preds"][0, 0] = torch.nan
    metric = PCK(JOINTS)
    with pytest.raises(DivergedError, match="finite predictions"):
        metric.update(**data)
    assert metric.count.sum() == 0


@pytest.fixture(scope="module")
def mpii(real_data):
    """MPII's validation people, predictions of a stacked hourglass, and MPII's joint names."""
    if not (real_data / "mpii").is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no mpii/")
    truth = scipy.io.loadmat(real_data / "mpii" / "gt_valid.mat")
    predictions = np.load(real_data / "mpii" / "predictions_hg_s8.npz")["keypoints"]
    corners = torch.from_numpy(truth["headboxes_src"])  # (2 corners, xy, N)
    data = {
        "preds": torch.from_numpy(predictions).double(),
        "target": torch.from_numpy(truth["pos_gt_src"].transpose(2, 0, 1).copy()),
        "labelled": torch.from_numpy(truth["jnt_missing"].T == 0),
        "normalizer": 0.6 * (corners[1] - corners[0]).norm(dim=0),
    }
    return data, [str(name[0]) for name in truth["dataset_joints"][0]]


PUBLISHED = {
    "head": "96.79",
    "sho": "95.19",
    "elb": "90.08",
    "wri": "85.32",
    "hip": "87.48",
    "kne": "84.26",
    "ank": "80.73",
}


def test_it_gives_the_published_table_of_mpii(mpii):
    data, names = mpii
    metric = PCKh(num_joints=16, average="none")
    for index in torch.arange(len(data["preds"])).split(500):
        metric.update(**rows(data, index))
    values = dict(zip(names, (100 * metric.compute().double()).tolist(), strict=True))
    both = {name: [f"r{name}", f"l{name}"] for name in PUBLISHED} | {"head": ["head"]}
    table = {name: f"{np.mean([values[n] for n in group]):.2f}" for name, group in both.items()}
    assert table == PUBLISHED
    counted = [joint for joint, name in enumerate(names) if name not in ("pelv", "thor")]
    data = {k: v if k == "normalizer" else v[:, counted] for k, v in data.items()}
    assert f"{100 * keypoint_pckh(**data).double():.2f}" == "88.64"
    assert f"{100 * keypoint_pckh(**data, average='micro').double():.2f}" == "89.09"


def test_a_model_gives_the_published_table_of_mpii(mpii):
    data, short = mpii
    sides = {"r": "right_", "l": "left_"}
    middle = ("pelv", "thor", "neck", "head")
    names = tuple(n if n in middle else sides[n[0]] + n[1:] for n in short)
    task = Task(Skeleton(names, limbs=(), flip_pairs=(), colours=()))
    chosen = [name for name in names if name not in ("pelv", "thor")]
    figures = {}
    for average in ("macro", "micro"):
        metric = PCKh(average=average, joints=chosen, per="pair")
        metric.build(task)
        for index in torch.arange(len(data["preds"])).split(500):
            part = rows(data, index)
            batch = make_people(len(index), size=(1, 5))
            batch.source_keypoints = part["target"].float()
            batch.source_visibility = part["labelled"].byte() * 2
            batch.head_size = part["normalizer"].float()
            keypoints = apply_affine(batch.crop, part["preds"].float())
            metric.judge(judge(Prediction(keypoints, torch.ones(keypoints.shape[:2])), batch))
        figures[average] = {k: f"{100 * v.double():.2f}" for k, v in metric.results().items()}
    table = figures["macro"]
    assert table == {"": "88.64", "neck": table["neck"], **PUBLISHED}
    assert figures["micro"][""] == "89.09"
