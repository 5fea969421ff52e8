import pytest
import torch

from lightning_pose.errors import InputError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads import IntegralHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.batches import make_batch
from tests.heads.labels import build, make_features


@pytest.mark.parametrize("size", [(32, 24), (30, 22)])
def test_a_sharp_map_decodes_to_the_centre_of_its_cell(size):
    head = IntegralHead(temperature=0.01)
    spec = MapSpec(channels=LSP14.num_joints, stride=4, height=8, width=6)
    head.build(FeatureSpec(spec, spec), Task(LSP14, InputSpec(size)))
    torch.nn.init.dirac_(head.layer.weight)
    torch.nn.init.zeros_(head.layer.bias)
    dense = torch.zeros(1, LSP14.num_joints, 8, 6)
    dense[:, :, 5, 2] = 1
    features = Features(dense, dense, image=torch.zeros(1, 3, *size))
    keypoints = head.decode(head(features), size).keypoints
    torch.testing.assert_close(keypoints, torch.tensor([9.5, 21.5]).expand_as(keypoints))


def test_a_perfect_output_costs_nothing_and_decodes_to_the_truth():
    head = IntegralHead()
    batch = make_batch(2)
    target = head.encode(batch, torch.zeros(2, LSP14.num_joints, 2))
    assert head.loss(target.value, target).mean() == 0
    torch.testing.assert_close(head.decode(target.value, (64, 64)).keypoints, batch.keypoints)


def test_the_loss_is_the_mean_distance_along_the_axes():
    head = IntegralHead()
    batch = make_batch(2)
    target = head.encode(batch, torch.zeros(2, LSP14.num_joints, 2))
    moved = target.value + torch.tensor([0.1, -0.3])
    assert float(head.loss(moved, target).mean()) == pytest.approx(0.2)


def test_unlabelled_joints_add_nothing():
    head = IntegralHead()
    batch = make_batch(2)
    batch.visibility[:, 3:] = 0
    output = torch.zeros(2, LSP14.num_joints, 2, requires_grad=True)
    head.loss(output, head.encode(batch, output)).mean().backward()
    assert output.grad[:, :3].any()
    assert not output.grad[:, 3:].any()


def test_a_bad_temperature_is_refused():
    for temperature in (0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"above 0, found {temperature}"):
            IntegralHead(temperature)


def test_a_lower_temperature_is_a_sharper_heatmap():
    head = build(IntegralHead(), (48, 64))
    features = make_features((48, 64), 2)
    maps = head.layer(features.dense).detach()
    peaks = maps.flatten(2).argmax(dim=2)
    cells = torch.stack((peaks % 16, peaks // 16), dim=-1)
    away = []
    for temperature in (4.0, 1.0, 0.25, 1e-5):
        head.temperature = temperature
        points = head.decode(head(features).detach(), (48, 64)).keypoints
        away.append(float((points - (cells * 4 + 1.5)).norm(dim=-1).mean()))
    assert away == sorted(away, reverse=True)
    assert away[-1] < 0.01


def test_a_padded_image_is_read_like_the_image_alone():
    head = build(IntegralHead(), (48, 64))
    features = make_features((48, 64), 2)
    features.valid = torch.zeros(2, 48, 64, dtype=torch.bool)
    features.valid[0] = True
    features.valid[1, :32, :40] = True
    part = features.dense[1:, :, :8, :10]
    alone = Features(part, part, image=features.image[1:, :, :32, :40])
    torch.testing.assert_close(head(features)[1:], head(alone))
