import math

import pytest
import torch

from lightning_pose.errors import InputError
from lightning_pose.heads import HeatmapHead
from tests.heads.labels import build, make_features, make_labels, perfect_output


@pytest.mark.parametrize("criterion", ["mse", "cross_entropy"])
@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("size", "stride"), [((64, 80), 2), ((127, 161), 4), ((256, 319), 8)])
def test_dark_decodes_to_a_twentieth_of_a_cell(criterion, sigma, size, stride):
    head = build(HeatmapHead(sigma, criterion, decoding="dark"), size, stride)
    batch = make_labels(size, count=4)
    margin = stride * 3 * sigma
    batch.keypoints.clamp_(margin, min(size) - margin)
    batch.visibility.fill_(2)
    shape = head(make_features(size, 4, stride)).shape
    points = head.decode(perfect_output(head, batch, shape), size).keypoints
    assert ((points - batch.keypoints).abs() / stride).max() < 0.05


@pytest.mark.parametrize(("decoding", "bound"), [("argmax", 0.5), ("quarter", 0.25)])
def test_coarser_decodings_keep_their_bounds(decoding, bound):
    size, stride = (128, 128), 4
    head = build(HeatmapHead(decoding=decoding), size, stride)
    batch = make_labels(size, count=16)
    batch.keypoints.clamp_(8, 119)
    batch.visibility.fill_(2)
    shape = head(make_features(size, 16)).shape
    error = head.decode(perfect_output(head, batch, shape), size).keypoints - batch.keypoints
    assert bound - 0.05 < (error.abs() / stride).max() <= bound + 1e-3


def test_zero_maps_cost_one_with_mse_whatever_the_grid():
    for stride, sigma in ((4, 1.5), (2, 2.0), (2, 3.0)):
        size = (96, 96)
        head = build(HeatmapHead(sigma, "mse"), size, stride)
        batch = make_labels(size)
        batch.keypoints.clamp_(40, 55)
        shape = head(make_features(size, 3, stride)).shape
        loss = head.loss(torch.zeros(shape), head.encode(batch, shape))
        assert float(loss) == pytest.approx(1, abs=0.01)


def test_a_uniform_map_costs_the_logarithm_of_the_cells_with_cross_entropy():
    size = (48, 64)
    head = build(HeatmapHead(), size)
    shape = head(make_features(size, 3)).shape
    loss = head.loss(torch.zeros(shape), head.encode(make_labels(size), shape))
    assert float(loss) == pytest.approx(math.log(12 * 16), abs=1e-4)


def test_a_distribution_sums_to_one_over_the_picture_also_at_its_edge():
    size = (33, 49)
    head, batch = build(HeatmapHead(), size), make_labels((33, 49))
    batch.keypoints[:, 0] = torch.tensor([-0.5, 32.4])
    batch.valid[:, :, 40:] = False
    target = head.encode(batch, head(make_features(size, 3)).shape)
    inside = (batch.keypoints[..., 0] < 39.5) & batch.labelled
    assert inside.any()
    torch.testing.assert_close(
        target.value.sum(dim=(2, 3))[inside], torch.ones(int(inside.sum())), atol=1e-5, rtol=0
    )
    assert not target.value[:, :, :, 10:].any()


def test_zero_maps_are_taught_only_to_persons_with_a_label():
    size = (48, 64)
    head, batch = build(HeatmapHead(criterion="mse", unlabelled="zero"), size), make_labels(size)
    batch.visibility[1] = 0
    target = head.encode(batch, head(make_features(size, 3)).shape)
    assert target.weight[[0, 2]].all()
    assert not target.weight[1].any()
    assert not target.value[~batch.labelled].any()
    assert target.value[batch.labelled].amax() > 0.9


def test_scores_tell_a_sharp_map_from_a_flat_one():
    size = (64, 64)
    for criterion in ("mse", "cross_entropy"):
        head, batch = build(HeatmapHead(criterion=criterion), size), make_labels(size)
        perfect = perfect_output(head, batch, head(make_features(size, 3)).shape)
        sharp = head.decode(perfect, size).scores[batch.labelled]
        flat = head.decode(perfect * 0.01, size).scores[batch.labelled]
        assert (sharp > 0.75).all()
        assert (flat < 0.35).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "sigma of 0.1 cells of the map or more, found 0.0"),
        ({"sigma": math.nan}, "sigma of 0.1 cells of the map or more, found nan"),
        ({"unlabelled": "zero"}, "found 'cross_entropy'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        HeatmapHead(**settings)
