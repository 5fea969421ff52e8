"""Joint positions as regressed coordinates."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import valid_size
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.heads.coordinates import CoordinateHead
from lightning_pose.losses.coordinates import mean_absolute_error
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Target
from lightning_pose.task import Task

__all__ = ["RegressionHead"]

_REGIONS = 4


class RegressionHead(CoordinateHead):
    """Predicts the coordinates of the joints directly from the deep map.

    A point-wise layer, the mean over a 4 x 4 grid of regions (which keeps the position of features
    for any size of the map), and one linear layer. Coordinates are normalised to [-1, 1] over the
    image without its padding, and the regions also divide the image without its padding.

    The loss is the mean absolute error: its gradient does not grow with the distance, so a few
    joints that are far off do not outweigh the many that are nearly right. A regressor has no
    confidence: every score is 1.

    Args:
        hidden: Channels of the hidden layer.

    Raises:
        ConfigError: `hidden` is not positive.
    """

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigError(
                f"Expected RegressionHead.hidden of 1 or more, found {hidden}; correct the head."
            )
        self.hidden = hidden

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.skeleton = task.skeleton
        self.stride = spec.deep.stride
        last = nn.Linear(_REGIONS**2 * self.hidden, 2 * self.skeleton.num_joints)
        # The initial prediction is the centre of the image.
        for parameter in last.parameters():
            nn.init.normal_(parameter, std=0.001)
        self.layers = nn.Sequential(
            nn.Conv2d(spec.deep.channels, self.hidden, kernel_size=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(_REGIONS),
            nn.Flatten(),
            last,
        )

    @override
    def forward(self, features: Features) -> Float[Tensor, "B K 2"]:
        point_wise, rectify, pool, flatten, last = self.layers
        maps = rectify(point_wise(features.deep))
        if features.valid is None:
            regions = pool(maps)
        else:
            regions = pool_regions(maps, features.valid, self.stride, _REGIONS)
        coordinates = in_float32(last, flatten(regions))
        return coordinates.view(-1, self.skeleton.num_joints, 2)

    @override
    def loss(self, output: Float[Tensor, "B K 2"], target: Target) -> LossTerms:
        return mean_absolute_error(output, target.value, target.weight)

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        rows = [f"{name}.{axis}" for name in self.skeleton.names for axis in "xy"]
        return {"layers.4.weight": rows, "layers.4.bias": rows}


def pool_regions(
    maps: Float[Tensor, "B C h w"], valid: Bool[Tensor, "B H W"], stride: int, regions: int
) -> Float[Tensor, "B C n n"]:
    """The mean over a grid of regions of each image's own cells, as if it had no padding.

    Args:
        maps: Feature maps of padded images.
        valid: False where an image was padded.
        stride: Pixels per cell.
        regions: Rows and columns of the grid.

    Returns:
        What `torch.nn.functional.adaptive_avg_pool2d` gives for the cells of each image alone.

    Example:
        >>> maps = torch.tensor([[[[1.0, 3.0, 9.0]]]])
        >>> pool_regions(maps, torch.tensor([[[True, True, False]]]), stride=1, regions=1)
        tensor([[[[2.]]]])
    """
    cells = -(-valid_size(valid) // stride)
    down = _averages(cells[:, 0], maps.shape[2], regions).to(maps)
    across = _averages(cells[:, 1], maps.shape[3], regions).to(maps)
    return torch.einsum("bnh,bchw,bmw->bcnm", down, maps, across)


def _averages(count: Int64[Tensor, " B"], length: int, regions: int) -> Float[Tensor, "B n length"]:
    """Weights that average the first `count` cells of an axis in each of `regions` intervals."""
    region = torch.arange(regions, device=count.device)
    # As in adaptive pooling, a region starts and ends at whole cells, and neighbours may overlap.
    start = region * count[:, None] // regions
    end = -(-(region + 1) * count[:, None] // regions)
    cell = torch.arange(length, device=count.device)
    inside = (cell >= start[..., None]) & (cell < end[..., None])
    return inside / (end - start)[..., None]
