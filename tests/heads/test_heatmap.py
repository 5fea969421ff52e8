import math

import pytest
import torch

from lightning_pose.codecs import heatmaps
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads import HeatmapHead
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.heads.labels import build, make_features, make_labels, perfect_output


@pytest.mark.parametrize("criterion", ["mse", "cross_entropy"])
@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("size", "stride"), [((64, 80), 2), ((127, 161), 4), ((256, 319), 8)])
def test_dark_decodes_to_a_twentieth_of_a_cell(criterion, sigma, size, stride):
    head = build(HeatmapHead(4 * sigma, criterion, decoding="dark"), size, stride)
    batch = make_labels(size, count=4)
    margin = stride * 3 * sigma
    batch.keypoints.clamp_(margin, min(size) - margin)
    batch.visibility.fill_(2)
    output = head(make_features(size, 4, stride))
    points = head.decode(perfect_output(head, batch, output), size).keypoints
    assert ((points - batch.keypoints).abs() / stride).max() < 0.05


@pytest.mark.parametrize(("decoding", "bound"), [("argmax", 0.5), ("quarter", 0.25)])
def test_coarser_decodings_keep_their_bounds(decoding, bound):
    size, stride = (128, 128), 4
    head = build(HeatmapHead(decoding=decoding), size, stride)
    batch = make_labels(size, count=16)
    batch.keypoints.clamp_(8, 119)
    batch.visibility.fill_(2)
    output = head(make_features(size, 16))
    error = head.decode(perfect_output(head, batch, output), size).keypoints - batch.keypoints
    assert bound - 0.05 < (error.abs() / stride).max() <= bound + 1e-3


@pytest.mark.parametrize("decoding", ["argmax", "quarter", "dark", "expectation"])
@pytest.mark.parametrize("stride", [2, 4])
def test_a_decoding_is_its_codec_with_sigma_in_cells(decoding, stride):
    head = build(HeatmapHead(6.0, "mse", decoding=decoding), (48, 64), stride)
    maps = torch.randn(2, LSP14.num_joints, 48 // stride, 64 // stride)
    # `build` takes the 6 pixels to be meant for a stride of 4.
    sigma = () if decoding in ("argmax", "quarter") else (1.5,)
    points = getattr(heatmaps, f"decode_{decoding}")(maps, *sigma)
    # The centre of the first cell is at half a cell less half a pixel.
    expected = points * stride + (stride - 1) / 2
    torch.testing.assert_close(head.decode(maps, (48, 64)).keypoints, expected)


def test_zero_maps_cost_one_with_mse_whatever_the_grid():
    for stride, sigma in ((4, 1.5), (2, 2.0), (2, 3.0)):
        size = (96, 96)
        head = build(HeatmapHead(4 * sigma, "mse"), size, stride)
        batch = make_labels(size)
        batch.keypoints.clamp_(40, 55)
        zeros = torch.zeros_like(head(make_features(size, 3, stride)))
        loss = head.loss(zeros, head.encode(batch, zeros)).mean()
        assert float(loss) == pytest.approx(1, abs=0.01)


def test_a_uniform_map_costs_the_logarithm_of_the_cells_with_cross_entropy():
    size = (48, 64)
    head = build(HeatmapHead(), size)
    zeros = torch.zeros_like(head(make_features(size, 3)))
    loss = head.loss(zeros, head.encode(make_labels(size), zeros)).mean()
    assert float(loss) == pytest.approx(math.log(12 * 16), abs=1e-4)


def test_a_distribution_sums_to_one_over_the_image_also_at_its_edge():
    size = (33, 49)
    head, batch = build(HeatmapHead(), size), make_labels((33, 49))
    batch.keypoints[:, 0] = torch.tensor([-0.5, 32.4])
    batch.valid[:, :, 40:] = False
    target = head.encode(batch, head(make_features(size, 3)))
    inside = (batch.keypoints[..., 0] < 39.5) & batch.labelled
    assert inside.any()
    torch.testing.assert_close(
        target.value.sum(dim=(2, 3))[inside], torch.ones(int(inside.sum())), atol=1e-5, rtol=0
    )
    assert not target.value[:, :, :, 10:].any()


def test_zero_maps_are_taught_only_to_people_with_a_label():
    size = (48, 64)
    head, batch = build(HeatmapHead(criterion="mse", unlabelled="zero"), size), make_labels(size)
    batch.visibility[1] = 0
    target = head.encode(batch, head(make_features(size, 3)))
    assert target.weight[[0, 2]].all()
    assert not target.weight[1].any()
    assert not target.value[~batch.labelled].any()
    assert target.value[batch.labelled].amax() > 0.9


def test_scores_tell_a_sharp_map_from_a_flat_one():
    size = (64, 64)
    for criterion in ("mse", "cross_entropy"):
        head, batch = build(HeatmapHead(criterion=criterion), size), make_labels(size)
        perfect = perfect_output(head, batch, head(make_features(size, 3)))
        sharp = head.decode(perfect, size).scores[batch.labelled]
        flat = head.decode(perfect * 0.01, size).scores[batch.labelled]
        assert (sharp > 0.75).all()
        assert (flat < 0.35).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "sigma above 0, found 0.0"),
        ({"sigma": math.nan}, "sigma above 0, found nan"),
        ({"unlabelled": "zero"}, "found 'cross_entropy'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        HeatmapHead(**settings)


def test_a_sigma_that_no_cell_would_see_is_refused_when_the_stride_is_known():
    with pytest.raises(ConfigError, match=r"sigma of 0\.4 pixels or more on a map of stride 4"):
        build(HeatmapHead(sigma=0.3), (32, 32))


def test_the_target_has_the_same_width_in_pixels_on_any_map():
    size = (96, 96)
    widths = []
    for stride in (1, 2, 4):
        head = HeatmapHead(sigma=6.0, criterion="mse")
        head.sigma *= 4 / stride  # `build` keeps it in cells.
        build(head, size, stride)
        batch = make_labels(size, count=1)
        batch.keypoints[:] = 47.5
        batch.visibility.fill_(2)
        value = head.encode(batch, head(make_features(size, 1, stride))).value[0, 0]
        widths.append(float(value.sum().sqrt()) * stride)
    assert widths == pytest.approx([6 * math.sqrt(2 * math.pi)] * 3, rel=1e-3)


def stages(count: int, criterion: str = "mse") -> tuple[HeatmapHead, Features]:
    """A head on a backbone with earlier maps, and random features."""
    head = HeatmapHead(criterion=criterion)
    grid = MapSpec(channels=6, stride=4, height=12, width=16)
    head.build(FeatureSpec(dense=grid, deep=grid, aux=(grid,) * (count - 1)), Task(LSP14))
    maps = [torch.rand(3, 6, 12, 16, requires_grad=True) for _ in range(count)]
    return head, Features(dense=maps[-1], deep=maps[-1], aux=tuple(maps[:-1]))


@pytest.mark.parametrize("criterion", ["mse", "cross_entropy"])
def test_every_stage_is_supervised_by_the_same_target(criterion):
    head, features = stages(3, criterion)
    batch = make_labels((48, 64))
    output = head(features)
    target = head.encode(batch, output)
    alone = [head.loss(maps, head.encode(batch, maps)).mean() for maps in output]
    torch.testing.assert_close(head.loss(output, target).mean(), sum(alone))
    for maps, layer, one in zip(
        (*features.aux, features.dense), (*head.earlier, head.layer), alone, strict=True
    ):
        # The loss of a stage is that of its own features and layer.
        found = torch.autograd.grad(one, (maps, layer.weight), retain_graph=True)
        joint = head.loss(output, target).mean()
        expected = torch.autograd.grad(joint, (maps, layer.weight), retain_graph=True)
        torch.testing.assert_close(found, expected)
        assert all(gradient.any() for gradient in found)


def test_points_are_those_of_the_last_stage():
    head, features = stages(3)
    output = head(features)
    found, last = head.decode(output, (48, 64)), head.decode(output[-1], (48, 64))
    assert torch.equal(found.keypoints, last.keypoints)
    assert torch.equal(found.scores, last.scores)
    first = head.decode((output[-1], output[1], output[0]), (48, 64))
    assert not torch.equal(first.keypoints, last.keypoints)


def test_each_stage_is_mirrored():
    head, features = stages(2)
    output = head(features)
    for one, other in zip(head.unflip(output), output, strict=True):
        assert torch.equal(one, head.unflip(other))


def test_without_earlier_maps_there_is_one_layer_and_one_output():
    head, features = stages(1)
    assert list(head.state_dict()) == list(head.joint_rows()) == ["layer.weight", "layer.bias"]
    assert head(features).shape == (3, LSP14.num_joints, 12, 16)


def test_the_rows_of_every_stage_are_joints():
    head, _ = stages(3)
    assert set(head.joint_rows()) == set(head.state_dict())
    assert set(head.joint_rows().values()) == {LSP14.names}


def test_with_mse_maps_start_from_zeros():
    head = build(HeatmapHead(criterion="mse"), (48, 64))
    output = head(make_features((48, 64), 3))
    batch = make_labels((48, 64))
    batch.keypoints.clamp_(12, 35)
    loss = head.loss(output, head.encode(batch, output)).mean()
    assert loss.item() == pytest.approx(1, abs=0.02)
