import pytest
import torch
import torch.nn.functional as F

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads import RegressionHead
from lightning_pose.heads.regression import pool_regions
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.heads.labels import build, make_features, make_labels


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 4), (7, 9), (32, 24)])
def test_any_size_of_the_deep_map_will_do(shape):
    head = RegressionHead(hidden=8)
    deep = MapSpec(6, 16, *shape)
    head.build(FeatureSpec(dense=deep, deep=deep), Task(LSP14))
    maps = torch.randn(2, 6, *shape)
    output = head(Features(dense=maps, deep=maps))
    assert output.shape == (2, LSP14.num_joints, 2)


def test_a_cell_below_zero_after_the_convolution_counts_for_nothing():
    head = RegressionHead(hidden=8)
    deep = MapSpec(6, 16, 4, 4)
    head.build(FeatureSpec(dense=deep, deep=deep), Task(LSP14))
    torch.nn.init.normal_(head.layers[-1].weight)
    maps = torch.randn(2, 6, 4, 4)
    hidden = F.conv2d(maps, head.layers[0].weight, head.layers[0].bias).clamp_min(0)
    expected = F.linear(hidden.flatten(1), head.layers[-1].weight, head.layers[-1].bias)
    torch.testing.assert_close(head(Features(maps, maps)), expected.view(2, -1, 2))


def test_where_something_was_seen_is_not_lost():
    head = RegressionHead(hidden=8)
    deep = MapSpec(6, 16, 8, 8)
    head.build(FeatureSpec(dense=deep, deep=deep), Task(LSP14, InputSpec((128, 128))))
    maps = torch.randn(2, 6, 8, 8)
    moved = maps.flip(3)
    assert not torch.allclose(head(Features(maps, maps)), head(Features(moved, moved)), atol=1e-5)


def test_it_starts_from_the_middle_of_the_image():
    size = (48, 64)
    head = build(RegressionHead(), size)
    points = head.decode(head(make_features(size, 3)).detach(), size).keypoints
    torch.testing.assert_close(points, torch.tensor([31.5, 23.5]).expand(3, 14, 2), atol=2, rtol=0)


def test_the_loss_is_the_mean_over_labelled_joints():
    size = (40, 80)
    head, batch = build(RegressionHead(), size), make_labels(size)
    output = torch.zeros(3, LSP14.num_joints, 2)
    # The centre of the image is 0, its edges are -1 and 1.
    middle, half = torch.tensor([39.5, 19.5]), torch.tensor([40.0, 20.0])
    expected = ((batch.keypoints - middle) / half).abs()[batch.labelled].mean()
    torch.testing.assert_close(head.loss(output, head.encode(batch, output)).mean(), expected)


def test_a_hidden_layer_needs_a_channel():
    with pytest.raises(ConfigError, match="hidden of 1 or more, found 0"):
        RegressionHead(hidden=0)


@pytest.mark.parametrize("stride", [4, 16])
@pytest.mark.parametrize("regions", [1, 3, 4])
def test_regions_are_those_of_each_image_without_its_padding(stride, regions):
    sizes = [(64, 96), (64, 33), (17, 96), (50, 50)]
    valid = torch.zeros(4, 64, 96, dtype=torch.bool)
    for person, (height, width) in enumerate(sizes):
        valid[person, :height, :width] = True
    maps = torch.randn(4, 5, 64 // stride, 96 // stride)
    pooled = pool_regions(maps, valid, stride, regions)
    for person, (height, width) in enumerate(sizes):
        alone = maps[person, :, : -(-height // stride), : -(-width // stride)]
        torch.testing.assert_close(pooled[person], F.adaptive_avg_pool2d(alone, regions))


def test_a_padded_image_is_regressed_like_the_image_alone():
    head = build(RegressionHead(hidden=8), (48, 64))
    features = make_features((48, 64), 2)
    features.valid = torch.zeros(2, 48, 64, dtype=torch.bool)
    features.valid[0] = True
    features.valid[1, :32, :40] = True
    padded = head(features)
    alone = features.deep[1:, :, :8, :10]
    torch.testing.assert_close(padded[1:], head(Features(alone, alone)))
    torch.testing.assert_close(padded[:1], head(Features(features.dense[:1], features.deep[:1])))
