"""Properties that every head has."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_pose.geometry import (
    apply_affine,
    crop_matrix,
    crop_scale,
    flip_points,
    invert_affine,
)
from lightning_pose.heads import HeatmapHead, MaskHead, SoftmaxJointHead
from lightning_pose.prediction import Target
from lightning_pose.skeletons import LSP14
from tests.heads.labels import (
    COORDINATES,
    HEADS,
    SPATIAL,
    build,
    make_features,
    make_labels,
    perfect_output,
)

every_head = pytest.mark.parametrize("name", list(HEADS))
every_spatial_head = pytest.mark.parametrize("name", SPATIAL)


def loss_of(head, output, batch):
    return head.loss(output, head.encode(batch, output)).mean()


@every_head
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("size", "stride"), [((48, 64), 4), ((33, 49), 4), ((31, 17), 2)])
def test_shapes_types_and_gradients(name, dtype, size, stride):
    head, batch = build(HEADS[name](), size, stride), make_labels(size)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = head(make_features(size, 3, stride))
        loss = loss_of(head, output, batch)
        prediction = head.decode(output.detach(), size)
    # In bfloat16, neighbouring cells tie and coordinates move in steps.
    assert output.dtype == (dtype if "mask" in head.fills else torch.float32)
    assert loss.dtype == torch.float32
    assert loss.shape == ()
    loss.backward()
    for parameter in head.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()
    if "mask" in head.fills:
        assert prediction.keypoints is None
        assert prediction.mask.shape == (3, *size)
        assert prediction.mask.dtype == torch.float32
        assert ((prediction.mask >= 0) & (prediction.mask <= 1)).all()
    elif "heatmap" in head.fills:
        assert prediction.keypoints is None
        assert prediction.heatmap.shape == (3, 1, -(-size[0] // stride), -(-size[1] // stride))
        assert prediction.heatmap.dtype == torch.float32
    else:
        assert prediction.mask is None
        assert prediction.keypoints.shape == (3, LSP14.num_joints, 2)
        assert prediction.keypoints.dtype == torch.float32
        assert ((prediction.scores >= 0) & (prediction.scores <= 1)).all()


@every_head
def test_the_loss_of_a_perfect_output_is_the_entropy_of_its_target(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3)).detach()
    perfect = perfect_output(head, batch, output)
    floor = 0.0
    if isinstance(head, HeatmapHead) and head.criterion == "cross_entropy":
        target = head.encode(batch, output).value[batch.labelled]
        floor = float(torch.special.entr(target).sum(dim=(1, 2)).mean())
    assert float(loss_of(head, perfect, batch)) == pytest.approx(floor, abs=1e-5)
    assert float(loss_of(head, output, batch)) > floor + 0.1


@every_head
def test_autocast_does_not_move_a_prediction(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    # With noise, the largest cell depends on small differences.
    output = head(make_features(size, 3)).detach()
    output = 0.01 * perfect_output(head, batch, output) + torch.randn(output.shape)
    plain = head.decode(output, size)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head.decode(output, size)
    assert plain.fields() == mixed.fields() == list(head.fills)
    for field in head.fills:
        assert torch.equal(getattr(plain, field), getattr(mixed, field))


@every_head
def test_a_batch_without_labels_costs_nothing_and_teaches_nothing(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    batch.visibility.zero_()
    batch.keypoints.zero_()
    batch.mask.fill_(-1)
    output = head(make_features(size, 3)).detach().requires_grad_()
    loss = loss_of(head, output, batch)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(output.grad, torch.zeros_like(output))


@every_head
def test_a_person_without_labels_does_not_change_the_loss_of_the_others(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3)).detach().requires_grad_()
    batch.visibility[1] = 0
    batch.mask[1] = -1
    loss = loss_of(head, output, batch)
    loss.backward()
    others = make_labels(size, count=3)
    keep = [0, 2]
    fields = {k: v[keep] for k, v in vars(others).items() if k not in ("image_id", "labels")}
    alone = loss_of(head, output[keep], replace(others, **fields))
    torch.testing.assert_close(loss, alone)
    assert not output.grad[1].any()


@every_head
def test_coordinates_of_unlabelled_joints_do_not_matter(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3)).detach()
    junk = batch.keypoints.masked_fill(~batch.labelled[..., None], 20.0)
    assert not torch.equal(junk, batch.keypoints)
    after = loss_of(head, output, replace(batch, keypoints=junk))
    assert torch.equal(loss_of(head, output, batch), after)


@every_head
def test_the_order_of_the_batch_does_not_matter(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3)).detach()
    order = [2, 0, 1]
    fields = {k: v[order] for k, v in vars(batch).items() if k not in ("image_id", "labels")}
    after = loss_of(head, output[order], replace(batch, **fields))
    torch.testing.assert_close(loss_of(head, output, batch), after)


@every_spatial_head
def test_padding_adds_nothing_whatever_the_output_there(name):
    size = (33, 49)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3)).detach()
    rows, columns = output.shape[2:]
    padded = replace(
        batch,
        image=F.pad(batch.image, (0, 23, 0, 19)),
        # A mask in the padding must not count either.
        mask=F.pad(batch.mask, (0, 23, 0, 19), value=1),
        valid=F.pad(batch.valid, (0, 23, 0, 19)),
    )
    fine = columns // 13  # A refined mask has more cells than the features.
    wide = 5 * torch.randn(*output.shape[:2], 13 * fine, 18 * fine)
    wide[:, :, :rows, :columns] = output
    wide.requires_grad_()
    loss = loss_of(head, wide, padded)
    torch.testing.assert_close(loss, loss_of(head, output, batch))
    loss.backward()
    assert not wide.grad[:, :, rows:].any()
    assert not wide.grad[:, :, :, columns:].any()


@every_spatial_head
def test_a_mirrored_person_has_the_mirrored_target(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3))
    order = LSP14.flip_order
    points = flip_points(batch.keypoints, size[1])[:, order]
    mirrored = replace(
        batch,
        keypoints=points,
        visibility=batch.visibility[:, order],
        mask=batch.mask.flip(2),
    )
    target, mirror = head.encode(batch, output), head.encode(mirrored, output)
    value, weight = target.value.flip(-1), target.weight.flip(-1)
    if isinstance(head, HeatmapHead):
        value, weight = value[:, order], weight[:, order]
    elif isinstance(head, SoftmaxJointHead):
        channels = torch.tensor([0, *(joint + 1 for joint in order)])
        value = value[:, channels] if head.soft else channels[value]
        weight = weight[:, channels]
    labelled = weight.expand_as(value) > 0 if weight.shape == value.shape else torch.tensor(True)
    torch.testing.assert_close(mirror.weight, weight)
    # Rounding may move a cell at the very edge of a joint to the other side.
    same = torch.isclose(mirror.value.float(), value.float(), atol=1e-4) | ~labelled
    assert same.float().mean() > 0.999


@every_head
def test_a_weight_of_zero_kills_the_gradient(name):
    size = (48, 64)
    head, batch = build(HEADS[name](), size), make_labels(size)
    output = head(make_features(size, 3)).detach().requires_grad_()
    target = head.encode(batch, output)
    loss = head.loss(output, Target(target.value, torch.zeros_like(target.weight)))
    assert not loss.weight.any()
    loss.mean().backward()
    assert not output.grad.any()


KEYPOINTS = [name for name, head in HEADS.items() if "keypoints" in head().fills]


@pytest.mark.parametrize("name", KEYPOINTS)
@settings(max_examples=25, deadline=None)
@given(
    stride=st.sampled_from([2, 4, 8]),
    grid=st.tuples(st.integers(12, 20), st.integers(12, 20)),
    overhang=st.integers(0, 1),
    seed=st.integers(0, 10**6),
)
def test_a_perfect_output_decodes_to_the_source_points(name, stride, grid, overhang, seed):
    size = (grid[0] * stride - overhang, grid[1] * stride - overhang)
    head, batch = build(HEADS[name](), size, stride), make_labels(size, count=2, seed=seed)
    chance = np.random.default_rng(seed)
    crops = [
        crop_matrix(
            np.array([20, 30, 120, 180], dtype=np.float32),
            size,
            rotation=chance.uniform(-180, 180),
            scale=chance.uniform(0.6, 1.6),
            flip=flip,
        )
        for flip in (False, True)
    ]
    batch.crop = torch.from_numpy(np.stack(crops))
    batch.source_keypoints = apply_affine(invert_affine(batch.crop), batch.keypoints)
    if isinstance(head, SoftmaxJointHead):
        # One joint per person: joints that share cells are tested with the codec.
        batch.visibility[:, 1:] = 0
    output = head(make_features(size, 2, stride))
    prediction = head.decode(perfect_output(head, batch, output), size)
    found = apply_affine(invert_affine(batch.crop), prediction.keypoints)
    # The length of a cell of the map in the source image.
    cell = stride / crop_scale(batch.crop)[:, None]
    error = (found - batch.source_keypoints).norm(dim=-1) / (2**0.5 * cell)
    inside = (prediction.keypoints - batch.keypoints).abs().amax(dim=-1) / stride
    bound = 1e-4 if name in COORDINATES else 0.5 + 1e-4
    if getattr(head, "decoding", "") == "argmax":
        bound = head.radius  # The inside of a disc is flat.
    assert (inside[batch.labelled] <= bound).all()
    assert (error[batch.labelled] <= bound).all()
    assert (prediction.scores[batch.labelled] > 0.5).all()


def test_a_mask_head_ignores_what_is_unknown():
    size = (48, 64)
    head, batch = build(MaskHead(), size), make_labels(size)
    output = head(make_features(size, 3)).detach().requires_grad_()
    loss_of(head, output, batch).backward()
    assert not output.grad[:, :, :4].any()
    assert output.grad[:, :, 4:].any()
