from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads import HeatmapHead, MaskHead, RefinementHead, RegressionHead, refinement
from lightning_pose.heads.refinement import cut_patches
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.heads.labels import make_labels

SIZE = (48, 64)


def make(first=RegressionHead, **settings):
    head = RefinementHead(first(), **{"window": 16.0, "resolution": 16, "channels": 4, **settings})
    grid = MapSpec(channels=8, stride=4, height=12, width=16)
    head.build(FeatureSpec(grid, grid), Task(LSP14, InputSpec(SIZE)))
    return head


def features(count=3):
    maps = torch.randn(count, 8, 12, 16)
    return Features(maps, maps, image=torch.randn(count, 3, *SIZE))


# Patches.


@pytest.mark.parametrize(("window", "resolution"), [(8.0, 8), (10.0, 5), (6.0, 13)])
def test_a_patch_shows_what_is_around_its_point(window, resolution):
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    image = torch.stack((columns, rows))[None].expand(2, 2, 40, 50)
    points = torch.tensor([[[20.0, 15.0], [30.25, 17.5]], [[9.5, 8.75], [40.0, 30.0]]])
    patches = cut_patches(image, points, window, resolution)
    step = window / resolution
    for person, joint in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x, y = patches[person, joint]
        # A bilinear sample of an image of its own coordinates is the place where it was taken.
        places = (torch.arange(resolution) - (resolution - 1) / 2) * step
        across, down = (points[person, joint][:, None] + places).unbind()
        torch.testing.assert_close(x, across.expand_as(x))
        torch.testing.assert_close(y, down[:, None].expand_as(y))


def test_beyond_the_image_a_patch_is_zero():
    patch = cut_patches(torch.ones(1, 1, 20, 20), torch.tensor([[[-0.5, 9.5]]]), 8.0, 8)[0, 0, 0]
    torch.testing.assert_close(patch, torch.tensor([0.0] * 4 + [1.0] * 4).expand(8, 8))
    far = cut_patches(torch.ones(1, 1, 20, 20), torch.tensor([[[1e6, 9.5]]]), 8.0, 8)
    assert not far.any()


# The stage.


def test_the_target_is_the_way_from_the_estimate_to_the_joint():
    head, batch = make(), make_labels(SIZE)
    output = head(features())
    first, estimate, displacement = output
    _, target = head.encode(batch, output)
    points = (estimate + 1) / 2 * torch.tensor([64.0, 48.0]) - 0.5
    torch.testing.assert_close(points, head.head.decode(first, SIZE).keypoints)
    away = (batch.keypoints - points) / 8
    near = batch.labelled & (away.abs().amax(dim=2) <= 1)
    assert 0 < near.sum() < batch.labelled.sum()
    assert torch.equal(target.weight[..., 0] > 0, near)
    torch.testing.assert_close(target.value[near], away[near])
    right = (first, estimate, target.value)
    found = head.decode(right, SIZE)
    torch.testing.assert_close(found.keypoints[near], batch.keypoints[near], atol=1e-4, rtol=0)
    both = head.loss(output, head.encode(batch, output)).mean()
    alone = head.head.loss(first, head.head.encode(batch, first)).mean()
    rest = (displacement - away)[near].abs().mean()
    torch.testing.assert_close(both, alone + rest)


def test_no_gradient_flows_from_the_displacement_into_the_first_stage():
    head, maps = make(), features()
    maps.deep.requires_grad_()
    output = head(maps)
    output[2].sum().backward()
    assert maps.deep.grad is None
    assert all(parameter.grad is None for parameter in head.head.parameters())
    assert all(parameter.grad is not None for parameter in head.last.parameters())
    assert not output[1].requires_grad


def test_it_reads_the_image_and_no_features():
    head, maps = make(), features()
    other = replace(maps, image=features().image)
    before, after = head(maps), head(other)
    assert torch.equal(before[1], after[1])
    assert not torch.allclose(before[2], after[2])


def test_its_layers_are_convolutions_batch_norm_and_relu():
    layers = make(channels=4).eval().layers
    x = patches = torch.randn(5, 3, 16, 16)
    for number in (0, 3, 6):
        x = F.conv2d(x, layers[number].weight, stride=2, padding=1)
        norm = layers[number + 1]  # At its start, it divides by the root of 1 + eps.
        x = (x / (1 + norm.eps) ** 0.5).clamp_min(0)
    torch.testing.assert_close(layers(patches), x.flatten(1))


def test_each_joint_has_rows_of_its_own_in_the_last_layer():
    head = make().eval()
    maps = features()
    before = head(maps)[2]
    with torch.no_grad():
        head.last.bias[2 * 5 + 1] += 1
    moved = head(maps)[2] - before
    expected = torch.zeros(3, 14, 2)
    expected[:, 5, 1] = 1
    torch.testing.assert_close(moved, expected)


def test_estimates_are_jittered_in_training_only():
    head, maps = make(jitter=3.0), features(40)
    scale = torch.tensor([32.0, 24.0])
    plain = head.eval()(maps)
    first = head.head(maps)
    torch.testing.assert_close(plain[0], first)
    assert torch.equal(head(maps)[1], plain[1])
    head.train()
    noise = (head(maps)[1] - plain[1]) * scale
    assert noise.std().item() == pytest.approx(3.0, rel=0.1)
    assert abs(noise.mean().item()) < 0.3


@pytest.mark.parametrize("first", [RegressionHead, lambda: HeatmapHead(decoding="argmax")])
def test_a_padded_image_is_refined_like_the_image_alone(first):
    head = make(first).eval()
    maps = features(2)
    if isinstance(
        head.head, HeatmapHead
    ):  # In training, a heatmap may have its peak in the padding.
        maps.dense[1, :, 8:] = maps.dense[1, :, :, 10:] = 0
        head.head.layer.bias.data.zero_()
    maps.valid = torch.zeros(2, *SIZE, dtype=torch.bool)
    maps.valid[0], maps.valid[1, :32, :40] = True, True
    maps.image[1, :, 32:] = maps.image[1, :, :, 40:] = 9
    padded = head(maps)
    deep = maps.deep[1:, :, :8, :10]
    alone = head(Features(deep, deep, image=maps.image[1:, :, :32, :40]))
    for place in (1, 2):
        torch.testing.assert_close(padded[place][1:], alone[place])
    whole = head(Features(maps.dense[:1], maps.deep[:1], image=maps.image[:1]))
    for place in (1, 2):
        torch.testing.assert_close(padded[place][:1], whole[place])


def test_an_estimate_outside_the_image_is_moved_to_its_edge():
    head, maps = make(), features()
    nn.init.constant_(head.head.layers[4].bias, 7.0)
    output = head(maps)
    assert (output[1] == 1).all()
    assert head.head.decode(output[0], SIZE).keypoints.min() > 64


def test_stages_can_be_stacked():
    head, batch = make(lambda: RefinementHead(RegressionHead(), 24.0, 8, 4)), make_labels(SIZE)
    output = head(features())
    assert len(output) == 5
    _, estimate, displacement, second, _ = output
    half = torch.tensor([32.0, 24.0])
    torch.testing.assert_close(second, (estimate + displacement * 12 / half).clamp(-1, 1).detach())
    terms = head.loss(output, head.encode(batch, output))
    assert terms.sum.shape == (3,)
    assert {"last.weight", "head.last.weight", "head.head.layers.4.weight"} <= set(
        head.joint_rows()
    )


# Learning.


def dots(count: int, seed: int) -> Batch:
    """Noise with a bright dot at each joint, within 5 pixels of the joint's usual place."""
    draw = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    joint = torch.arange(14)
    usual = torch.stack((joint % 4, joint // 4), dim=1) * 15.0 + 9
    keypoints = usual + torch.rand(count, 14, 2, generator=draw) * 10 - 5
    image = torch.randint(60, 90, (count, 3, 64, 64), generator=draw, dtype=torch.uint8)
    x, y = keypoints[..., None, None].unbind(dim=2)
    shown = ((columns - x).square() + (rows - y).square() < 6).any(dim=1)
    image[shown[:, None].expand_as(image)] = 250
    batch = make_labels((64, 64), count)
    visible = torch.full_like(batch.visibility, 2)
    return replace(batch, image=image, keypoints=keypoints, visibility=visible)


def errors_of_both_stages() -> tuple[float, float]:
    """Train for some steps; the mean error of each stage in pixels on other images.

    The first stage sees the same features for every image, so it can learn the usual place at best.
    """
    head = RefinementHead(RegressionHead(hidden=8), 20.0, 20, 8, jitter=1.0)
    grid = MapSpec(channels=4, stride=8, height=8, width=8)
    head.build(FeatureSpec(grid, grid), Task(LSP14, InputSpec((64, 64))))

    def outputs(batch: Batch) -> tuple[torch.Tensor, ...]:
        maps = torch.ones(len(batch), 4, 8, 8)
        return head(Features(maps, maps, image=batch.image / 128 - 1))

    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for step in range(100):
        batch = dots(8, seed=step)
        output = outputs(batch)
        loss = head.loss(output, head.encode(batch, output)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.eval()
    batch = dots(32, seed=1000)
    with torch.no_grad():
        output = outputs(batch)
    found = [head.head.decode(output[0], (64, 64)), head.decode(output, (64, 64))]
    first, refined = ((one.keypoints - batch.keypoints).norm(dim=2).mean().item() for one in found)
    return first, refined


def test_it_lowers_the_error_where_the_image_shows_the_joints():
    first, refined = errors_of_both_stages()
    assert first > 3
    assert refined < 0.5 * first


def test_it_does_not_where_the_window_is_somewhere_else(monkeypatch):
    monkeypatch.setattr(
        refinement,
        "cut_patches",
        lambda image, points, *rest: cut_patches(image, points + 40, *rest),
    )
    first, refined = errors_of_both_stages()
    assert refined > 0.8 * first


# Settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": MaskHead}, "found MaskHead, which predicts mask; choose another"),
        ({"window": 0.0}, "window above 0, found 0"),
        ({"jitter": -1.0}, "jitter of 0 or more, found -1"),
        ({"resolution": 7}, "resolution of 8 or more .* found 7 and 4"),
        ({"channels": 0}, "channels of 1 or more, found 16 and 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make(**settings)
