"""Random labels for the tests of the heads: joints anywhere in the image, some unlabelled."""

import torch
from torch import Tensor

from lightning_pose.batch import Batch
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads import (
    FullyConnectedHead,
    Head,
    HeatmapHead,
    IntegralHead,
    MaskHead,
    RegressionHead,
    SharedHeatmapHead,
    SoftmaxJointHead,
)
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task

HEADS = {
    "regression": RegressionHead,
    "fully_connected": lambda: FullyConnectedHead([16]),
    "fully_connected_l1": lambda: FullyConnectedHead([16], norm="after", criterion="l1"),
    "heatmap": HeatmapHead,
    "heatmap_mse": lambda: HeatmapHead(criterion="mse"),
    "heatmap_zero": lambda: HeatmapHead(criterion="mse", unlabelled="zero"),
    "mask": MaskHead,
    "mask_fine": lambda: MaskHead(channels=6, max_stride=2),
    "shared_heatmap": lambda: SharedHeatmapHead(unlabelled="zero"),
    "softmax_joint": SoftmaxJointHead,
    "softmax_joint_plain": lambda: SoftmaxJointHead(balanced=False, decoding="argmax"),
    "softmax_joint_soft": lambda: SoftmaxJointHead(balanced=False, soft=True),
    "integral": IntegralHead,
}
COORDINATES = ["regression", "fully_connected", "fully_connected_l1", "integral"]
SPATIAL = [name for name in HEADS if name not in COORDINATES]


def make_labels(size: tuple[int, int] = (48, 64), count: int = 3, seed: int = 0) -> Batch:
    """A batch with joints anywhere, a third of them unlabelled, and a strip of unknown mask."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    edge = torch.tensor([width, height], dtype=torch.float32)
    keypoints = torch.rand(count, LSP14.num_joints, 2, generator=generator) * edge - 0.5
    visibility = torch.randint(0, 3, (count, LSP14.num_joints), generator=generator)
    # The first joint is always labelled, so that every person has one.
    visibility[:, 0] = 2
    keypoints[visibility == 0] = 0
    mask = torch.randint(0, 2, (count, height // 4 + 1, width // 4 + 1), generator=generator)
    mask = mask.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :height, :width].to(torch.int8)
    mask[:, : height // 3] = -1
    ones = torch.ones(count)
    return Batch(
        image=torch.zeros(count, 3, height, width, dtype=torch.uint8),
        keypoints=keypoints,
        visibility=visibility.to(torch.uint8),
        mask=mask.contiguous(),
        valid=torch.ones(count, height, width, dtype=torch.bool),
        crop=torch.eye(2, 3).repeat(count, 1, 1),
        source_keypoints=keypoints,
        source_visibility=visibility.to(torch.uint8),
        box=torch.cat((keypoints.amin(dim=1), keypoints.amax(dim=1)), dim=1),
        head_size=ones,
        torso_size=ones,
        area=ones,
        labels={},
        image_size=torch.tensor([[height, width]] * count),
        person_id=torch.arange(count),
        image_id=[f"{person}.jpg" for person in range(count)],
    )


def build(head: Head, size: tuple[int, int], stride: int = 4, channels: int = 8) -> Head:
    """Build a head on maps of one stride, whose last cells may overhang the image.

    Sigma stays the same in cells: it is meant for a stride of 4.
    """
    if hasattr(head, "sigma"):
        head.sigma *= stride / 4
    grid = MapSpec(channels, stride, -(-size[0] // stride), -(-size[1] // stride))
    head.build(FeatureSpec(dense=grid, deep=grid), Task(LSP14, InputSpec(size)))
    return head


def make_features(
    size: tuple[int, int], count: int, stride: int = 4, channels: int = 8
) -> Features:
    """Random feature maps, of which dense and deep are the same, and a black image."""
    maps = torch.randn(count, channels, -(-size[0] // stride), -(-size[1] // stride))
    return Features(dense=maps, deep=maps, image=torch.zeros(count, 3, *size))


def perfect_output(head: Head, batch: Batch, output: Tensor) -> Tensor:
    """The raw output that equals the target of a batch, in the shape of another output."""
    value = head.encode(batch, output).value
    match head:
        case HeatmapHead(criterion="cross_entropy"):
            return value.clamp_min(1e-30).log()
        case MaskHead():
            return torch.stack((torch.zeros_like(value), value.logit(eps=1e-6)), dim=1)
        case SoftmaxJointHead(soft=True):
            return (value > 0) * 40.0
        case SoftmaxJointHead():
            one_hot = torch.nn.functional.one_hot(value, LSP14.num_joints + 1)
            return one_hot.movedim(-1, 1) * 40.0
    return value
