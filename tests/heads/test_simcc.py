import math

import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.features import FeatureSpec, MapSpec
from lightning_pose.geometry import flip_points
from lightning_pose.heads import SimCCHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.heads.labels import build, make_features, make_labels

SIZE = (48, 64)


def perfect(head, batch):
    """The raw output that equals the target of a batch."""
    output = head(make_features(SIZE, len(batch)))
    return tuple(target.value.clamp_min(1e-30).log() for target in head.encode(batch, output))


@pytest.mark.parametrize("bins_per_pixel", [0.5, 1.0, 1.3, 2.0, 3.0])
@pytest.mark.parametrize("decoding", ["argmax", "expectation"])
def test_a_perfect_output_decodes_to_the_points(bins_per_pixel, decoding):
    head = build(SimCCHead(bins_per_pixel, sigma=3.0, decoding=decoding), SIZE)
    batch = make_labels(SIZE, count=8)
    if decoding == "expectation":  # The mean of a Gaussian that is cut off is not its centre.
        batch.keypoints.clamp_(12, 35)
    found = head.decode(perfect(head, batch), SIZE)
    error = (found.keypoints - batch.keypoints)[batch.labelled].abs().max()
    # Half of a bin, whose length is rounded to a whole number of bins.
    assert error < (0.53 / bins_per_pixel if decoding == "argmax" else 1e-2)
    assert (found.scores[batch.labelled] > 0.9).all()


def test_bins_cover_the_image_from_edge_to_edge():
    head = build(SimCCHead(bins_per_pixel=2.0), SIZE)
    x, y = (torch.full((1, 14, count), -30.0) for count in (128, 96))
    x[..., 0] = y[..., 95] = 30.0
    points = head.decode((x, y), SIZE).keypoints
    # The first bin spans [-0.5, 0], the last one [47, 47.5].
    torch.testing.assert_close(points[0, 0], torch.tensor([-0.25, 47.25]))


def test_the_loss_of_a_perfect_output_is_the_entropy_of_its_targets():
    head, batch = build(SimCCHead(), SIZE), make_labels(SIZE)
    output = perfect(head, batch)
    targets = head.encode(batch, output)
    floor = sum(torch.special.entr(t.value[batch.labelled]).sum(dim=1).mean() for t in targets)
    torch.testing.assert_close(head.loss(output, targets).mean(), floor)
    uniform = tuple(torch.zeros_like(one) for one in output)
    expected = torch.tensor(math.log(128) + math.log(96))
    torch.testing.assert_close(head.loss(uniform, targets).mean(), expected)


def test_a_mirrored_person_has_the_mirrored_target():
    head, batch = build(SimCCHead(), SIZE), make_labels(SIZE)
    output = perfect(head, batch)
    order = LSP14.flip_order
    batch.keypoints = flip_points(batch.keypoints, SIZE[1])[:, order]
    batch.visibility = batch.visibility[:, order]
    mirrored = perfect(head, batch)
    for one, other in zip(head.unflip(output), mirrored, strict=True):
        torch.testing.assert_close(
            one[batch.labelled].exp(), other[batch.labelled].exp(), atol=1e-5, rtol=0
        )


def test_unlabelled_joints_add_nothing():
    head, batch = build(SimCCHead(), SIZE), make_labels(SIZE)
    output = tuple(one.detach().requires_grad_() for one in head(make_features(SIZE, 3)))
    head.loss(output, head.encode(batch, output)).mean().backward()
    for one in output:
        assert one.grad[batch.labelled].any(dim=1).all()
        assert not one.grad[~batch.labelled].any()


def test_it_reads_the_map_that_it_is_told_to():
    dense, deep = MapSpec(4, 2, 24, 32), MapSpec(6, 8, 6, 8)
    for name, spec in (("dense", dense), ("deep", deep)):
        head = SimCCHead(feature_map=name)
        head.build(FeatureSpec(dense, deep), Task(LSP14, InputSpec(SIZE)))
        assert head.layer.in_channels == spec.channels
        assert head.columns.in_features == head.rows.in_features == spec.height * spec.width
        assert (head.columns.out_features, head.rows.out_features) == (128, 96)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins_per_pixel": 0.0}, "bins_per_pixel above 0, found 0.0"),
        ({"bins_per_pixel": math.nan}, "bins_per_pixel above 0, found nan"),
        ({"sigma": math.inf}, "sigma above 0, found inf"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SimCCHead(**settings)


@pytest.mark.parametrize("name", ["feature_map", "decoding"])
def test_an_unknown_choice_is_refused(name):
    # Past the run-time type checks of these tests.
    with pytest.raises(ConfigError, match=f"SimCCHead.{name} to be one of .* found 'both'"):
        SimCCHead.__init__.__wrapped__(SimCCHead.__new__(SimCCHead), **{name: "both"})


def test_an_input_of_no_fixed_size_and_an_axis_of_one_bin_are_refused():
    grid = MapSpec(4, 4, 12, 16)
    spec = FeatureSpec(grid, grid)
    varied = Task(LSP14, InputSpec(size=None, short_side=48))
    with pytest.raises(ConfigError, match=r"one fixed size for SimCCHead, found .*short_side 48"):
        SimCCHead().build(spec, varied)
    with pytest.raises(ConfigError, match="2 bins or more along each axis of 48 x 64 pixels"):
        SimCCHead(bins_per_pixel=0.02).build(spec, Task(LSP14, InputSpec(SIZE)))


def test_a_joint_is_only_as_sure_as_its_less_sure_axis():
    head = build(SimCCHead(bins_per_pixel=2.0), SIZE)
    sharp, flat = torch.full((1, 14, 128), -30.0), torch.zeros(1, 14, 96)
    sharp[..., 40] = 30.0
    unsure = head.decode((sharp, flat), SIZE).scores
    assert (unsure < 0.2).all()
    flat[..., 40] = 30.0
    assert (head.decode((sharp, flat), SIZE).scores > unsure).all()
    assert (head.decode((torch.zeros_like(sharp), flat), SIZE).scores < 0.2).all()
