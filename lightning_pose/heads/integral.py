"""Joint positions as the mean position under a heatmap."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import valid_size
from lightning_pose.codecs import known_cells
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.geometry import from_grid, to_unit
from lightning_pose.heads.coordinates import CoordinateHead
from lightning_pose.losses.coordinates import mean_absolute_error
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Target
from lightning_pose.task import Task

__all__ = ["IntegralHead"]


class IntegralHead(CoordinateHead):
    """Predicts each joint as the mean position under a softmax over the dense map.

    From "Integral Human Pose Regression" (Sun et al., ECCV 2018). The mean is finer than a cell of
    the map, and its gradient reaches every cell. It has no confidence: every score is 1.

    Args:
        temperature: What the logits are divided by; lower makes the heatmaps sharper.

    Raises:
        ConfigError: `temperature` is not positive.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ConfigError(
                f"Expected IntegralHead.temperature above 0, found {temperature}; correct the head."
            )
        self.temperature = temperature

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.skeleton = task.skeleton
        self.stride = spec.dense.stride
        self.layer = nn.Conv2d(spec.dense.channels, self.skeleton.num_joints, kernel_size=1)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B K 2"]:
        # Under autocast, the logits would have 8 bits of precision.
        logits = in_float32(self.layer, features.dense) / self.temperature
        height, width = logits.shape[2:]
        assert features.image is not None, "PoseNetwork sets it"
        sizes = torch.tensor(features.image.shape[2:], device=logits.device).expand(len(logits), 2)
        if features.valid is not None:  # Images of unequal size: padding takes no part.
            known = known_cells(features.valid, self.stride, (height, width))
            logits = logits.masked_fill(~known[:, None], torch.finfo(torch.float32).min)
            sizes = valid_size(features.valid)
        heatmap = logits.flatten(2).softmax(-1).view(logits.shape)
        rows = torch.arange(height, dtype=torch.float32, device=heatmap.device)
        columns = torch.arange(width, dtype=torch.float32, device=heatmap.device)
        x = (heatmap.sum(2) * columns).sum(-1)
        y = (heatmap.sum(3) * rows).sum(-1)
        points = from_grid(torch.stack((x, y), dim=-1), self.stride)
        return to_unit(points, sizes[:, None])

    @override
    def loss(self, output: Float[Tensor, "B K 2"], target: Target) -> LossTerms:
        return mean_absolute_error(output, target.value, target.weight)

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        return {"layer.weight": self.skeleton.names, "layer.bias": self.skeleton.names}
