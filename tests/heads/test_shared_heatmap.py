import math
from dataclasses import replace

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.heads import MaskHead, SharedHeatmapHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.heads.labels import build, make_features, make_labels

SIZE = (48, 64)


def example(**settings):
    """A head, a batch in which every joint is labelled, and an output."""
    head, batch = build(SharedHeatmapHead(**settings), SIZE), make_labels(SIZE)
    batch.keypoints = torch.rand(3, LSP14.num_joints, 2) * torch.tensor([64, 48]) - 0.5
    batch.visibility.fill_(2)
    batch.source_visibility = batch.visibility.clone()
    return head, batch, head(make_features(SIZE, 3)).detach()


def test_the_target_is_as_high_as_the_scale_and_the_prediction_as_high_as_1():
    head, batch, output = example(scale=30.0)
    value = head.encode(batch, output).value
    assert value.amax(dim=(1, 2, 3)).tolist() == pytest.approx([30.0] * 3)
    torch.testing.assert_close(head.decode(value, SIZE).heatmap, value / 30)


def test_the_loss_is_the_mean_squared_error_of_the_pixels():
    head, batch, output = example()
    target = head.encode(batch, output)
    expected = torch.nn.functional.mse_loss(output, target.value)
    torch.testing.assert_close(head.loss(output, target).mean(), expected)


def test_a_person_with_an_unlabelled_joint_is_left_out():
    head, batch, output = example()
    batch.visibility[1, 3] = batch.source_visibility[1, 3] = 0
    weight = head.encode(batch, output).weight.amax(dim=(1, 2, 3))
    assert weight.tolist() == [1, 0, 1]


def test_a_joint_outside_the_crop_is_known_not_to_be_in_it():
    head, batch, output = example()
    before = head.encode(batch, output).value
    batch.visibility[1, 3] = 0  # In the source, it is labelled.
    target = head.encode(batch, output)
    assert target.weight.all()
    assert not torch.equal(target.value, before)


def test_zero_trains_a_map_without_the_unlabelled_joints():
    head, batch, output = example(unlabelled="zero")
    batch.visibility[1, 3:] = batch.source_visibility[1, 3:] = 0
    batch.visibility[2] = batch.source_visibility[2] = 0
    target = head.encode(batch, output)
    assert target.weight.amax(dim=(1, 2, 3)).tolist() == [1, 1, 0]
    for joint in range(14):
        x, y = ((batch.keypoints[1, joint] + 0.5) / 4).floor().int().tolist()
        near = torch.cdist(batch.keypoints[1, joint][None], batch.keypoints[1, :3]).min()
        if joint < 3 or near > 20:
            assert (target.value[1, 0, y, x] > 1) == (joint < 3)


SIDE = 48


def scenes(count: int, seed: int) -> Batch:
    """Noise with a dark disc, the person, and a bright dot at each joint."""
    draw = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    keypoints = torch.rand(count, LSP14.num_joints, 2, generator=draw) * (SIDE - 8) + 4
    centre = torch.rand(count, 1, 2, generator=draw) * SIDE

    def near(points: torch.Tensor, squared: float) -> torch.Tensor:
        x, y = points[..., None, None].unbind(dim=2)
        return ((columns - x).square() + (rows - y).square() < squared).any(dim=1)

    person, dots = near(centre, 200), near(keypoints, 3)
    image = torch.randint(60, 90, (count, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8)
    image[person[:, None].expand_as(image)] -= 60
    image[dots[:, None].expand_as(image)] = 250
    batch = make_labels((SIDE, SIDE), count)
    seen = torch.full_like(batch.visibility, 2)
    return replace(
        batch,
        image=image,
        keypoints=keypoints,
        visibility=seen,
        source_visibility=seen,
        mask=person.to(batch.mask.dtype),
    )


def learnt(scale: float, mask_weight: float = 1.0) -> float:
    """How much of new images' maps is explained after 60 steps: 1 all, 0 as much as by zeros."""
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": SharedHeatmapHead(sigma=1.0, scale=scale)}
    backbone = UNet(8, dropout=0.0, batch_norm=False)
    model = PoseModule(backbone, heads, LSP14, InputSpec((SIDE, SIDE))).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(60):
        batch = scenes(4, seed=step)
        terms = model.network.losses(model(batch.image), batch)
        optimizer.zero_grad()
        (mask_weight * terms["mask"].mean() + terms["heatmap"].mean()).backward()
        optimizer.step()
    batch, head = scenes(8, seed=1000), model.heads["heatmap"]
    with torch.no_grad():
        output = model(batch.image)["heatmap"]
    target = head.encode(batch, output)
    zeros = head.loss(torch.zeros_like(output), target).mean()
    return 1 - (head.loss(output, target).mean() / zeros).item()


def test_while_a_mask_is_learnt_the_map_is_learnt_at_scale_100_and_not_at_scale_1():
    # In this small case, it is not a map of zeros that remains at scale 1, but one that explains
    # no more than zeros do. The loss of the mask is the cause.
    assert learnt(scale=1.0) < 0
    assert learnt(scale=1.0, mask_weight=0.0) > 0.5
    assert learnt(scale=100.0) > 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "sigma above 0, found 0.0"),
        ({"sigma": math.nan}, "sigma above 0, found nan"),
        ({"scale": -1.0}, "scale above 0, found -1.0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SharedHeatmapHead(**settings)
