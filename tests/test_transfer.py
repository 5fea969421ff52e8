"""Starting from another model's weights: only weights with the same meaning are loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.errors import CheckpointError
from lightning_pose.heads import (
    ClassHead,
    HeatmapHead,
    LSTMHead,
    MaskHead,
    RegressionHead,
    SoftmaxJointHead,
)
from lightning_pose.skeletons import LSP14, Skeleton
from lightning_pose.transfer import init_from
from lightning_pose.weightings import FixedWeighting
from tests.test_checkpoint import same_predictions, small_model, write

# Two joints fewer, one new joint, and a different order.
OTHER = Skeleton(
    names=("nose", *LSP14.names[13:8:-1], *LSP14.names[:6]),
    limbs=((0, 1),),
    flip_pairs=(),
    colours=((0, 0, 0),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    return write(tmp_path / "model.ckpt", small_model())


def fresh(**settings: object):
    model = small_model(**{"weighting": FixedWeighting(), **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    return model


def test_the_same_model_starts_where_the_other_ended(path: Path) -> None:
    model = fresh()
    assert not same_predictions(model, small_model(), (48, 64))
    line = init_from(model, path)
    assert same_predictions(model, small_model(), (48, 64))
    assert line == f"Weights from {path}: the backbone, mask, heatmap, joints, coordinates."


def test_rows_of_joints_carry_over_by_name_and_new_joints_get_initial_weights(path: Path) -> None:
    heads = {
        "joints": SoftmaxJointHead(),
        "heatmap": HeatmapHead(),
        "coordinates": RegressionHead(),
        "other": MaskHead(),
    }
    model, donor = fresh(heads=heads, skeleton=OTHER), small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    line = init_from(model, path)
    assert "heatmap (11 of 12 rows)" in line
    assert "joints (12 of 13 rows)" in line
    assert "coordinates (22 of 24 rows)" in line
    assert line.endswith("; other with initial weights.")
    ours, theirs = model.heads["heatmap"].layer, donor.heads["heatmap"].layer
    for place, name in enumerate(OTHER.names):
        if name == "nose":
            assert torch.equal(ours.weight[place], before["network.heads.heatmap.layer.weight"][0])
        else:
            assert torch.equal(ours.weight[place], theirs.weight[LSP14.names.index(name)])
            assert ours.bias[place] == theirs.bias[LSP14.names.index(name)]
    background = model.heads["joints"].layer.weight[0]
    assert torch.equal(background, donor.heads["joints"].layer.weight[0])
    image = torch.rand(1, 3, 48, 64)
    found = model.predict(image)["coordinates"].keypoints[0, 1:]
    order = [LSP14.names.index(name) for name in OTHER.names[1:]]
    torch.testing.assert_close(found, donor.predict(image)["coordinates"].keypoints[0, order])
    other = before["network.heads.other.layer.weight"]
    assert torch.equal(model.heads["other"].layer.weight, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": UNet(width=8)}, r"backbone\.down\.0\.0\.weight of shape \(8, 3, 3, 3\)"),
        ({"mean": (0.1, 0.2, 0.3)}, "normalised by mean"),
        ({"heads": {"mask": MaskHead(channels=3)}}, r"heads\.mask\.\S+ of shape .*found"),
        ({"heads": {"coordinates": RegressionHead(hidden=8)}}, r"heads\.coordinates\."),
    ],
)
def test_what_does_not_fit_is_named(settings: dict[str, object], message: str, path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        init_from(fresh(**settings), path)


def test_a_head_of_another_class_gets_initial_weights(path: Path) -> None:
    model = fresh(heads={"heatmap": RegressionHead()}, skeleton=replace(LSP14))
    assert init_from(model, path).endswith("the backbone; heatmap with initial weights.")


def test_a_head_is_taken_only_for_the_same_label(tmp_path: Path) -> None:
    def labelled(label: str):
        heads = {"mask": MaskHead(), "class": ClassHead(label)}
        labels = {"sport": ["golf", "judo"], "place": ["in", "out"]}
        return small_model(heads=heads, weighting=FixedWeighting(), labels=labels)

    path = write(tmp_path / "labelled.ckpt", labelled("sport"))
    assert init_from(labelled("sport"), path).endswith("mask, class.")
    message = r"heads\.class to predict the label sport, as in .*, found place; rename the head"
    with pytest.raises(CheckpointError, match=message):
        init_from(labelled("place"), path)


def test_a_sequence_is_taken_only_for_the_same_joints_in_the_same_order(tmp_path: Path) -> None:
    def recurrent(order: list[str] | None = None, skeleton: Skeleton = LSP14):
        head = LSTMHead(fully_connected=[8], hidden=4, order=order)
        weighting = FixedWeighting()
        return small_model(heads={"sequence": head}, skeleton=skeleton, weighting=weighting)

    donor = recurrent()
    path = write(tmp_path / "sequence.ckpt", donor)
    model = recurrent(list(LSP14.names))
    torch.nn.init.zeros_(model.heads["sequence"].point.weight)
    init_from(model, path)
    assert same_predictions(model, donor, (48, 64))
    for other in (recurrent([*reversed(LSP14.names)]), recurrent(skeleton=OTHER)):
        first = other.heads["sequence"].steps[0]
        message = rf"sequence to predict right_ankle, .*head_top in this order, .*found {first}, "
        with pytest.raises(CheckpointError, match=message):
            init_from(other, path)
