import pytest
import torch

from lightning_pose.batch import Features, FeatureSpec, MapSpec
from lightning_pose.errors import InputError
from lightning_pose.heads import RegressionHead
from lightning_pose.skeletons import LSP14
from tests.heads.labels import build, make_features, make_labels


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 4), (7, 9), (32, 24)])
def test_any_size_of_the_deep_map_will_do(shape):
    head = RegressionHead(hidden=8)
    deep = MapSpec(6, 16, *shape)
    head.build(FeatureSpec(dense=deep, deep=deep), LSP14, (shape[0] * 16, shape[1] * 16))
    maps = torch.randn(2, 6, *shape)
    output = head(Features(dense=maps, deep=maps))
    assert output.shape == (2, LSP14.num_joints, 2)


def test_where_something_was_seen_is_not_lost():
    head = RegressionHead(hidden=8)
    deep = MapSpec(6, 16, 8, 8)
    head.build(FeatureSpec(dense=deep, deep=deep), LSP14, (128, 128))
    maps = torch.randn(2, 6, 8, 8)
    moved = maps.flip(3)
    assert not torch.allclose(head(Features(maps, maps)), head(Features(moved, moved)), atol=1e-5)


def test_it_starts_from_the_middle_of_the_picture():
    size = (48, 64)
    head = build(RegressionHead(), size)
    points = head.decode(head(make_features(size, 3)).detach(), size).keypoints
    torch.testing.assert_close(points, torch.tensor([31.5, 23.5]).expand(3, 14, 2), atol=2, rtol=0)


def test_the_loss_is_the_mean_over_labelled_joints():
    size = (40, 80)
    head, batch = build(RegressionHead(), size), make_labels(size)
    output = torch.zeros(3, LSP14.num_joints, 2)
    # The middle of the picture is 0, its edges are -1 and 1.
    middle, half = torch.tensor([39.5, 19.5]), torch.tensor([40.0, 20.0])
    expected = ((batch.keypoints - middle) / half).abs()[batch.labelled].mean()
    torch.testing.assert_close(head.loss(output, head.encode(batch, output.shape)), expected)


def test_a_hidden_layer_needs_a_channel():
    with pytest.raises(InputError, match="hidden of 1 or more, found 0"):
        RegressionHead(hidden=0)
