"""Where the joints are, as coordinates."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch, Features, FeatureSpec, Prediction, Target
from lightning_pose.errors import InputError
from lightning_pose.geometry import from_unit, to_unit
from lightning_pose.heads.base import Head
from lightning_pose.losses.coordinates import mean_absolute_error
from lightning_pose.skeletons import Skeleton

__all__ = ["RegressionHead"]


class RegressionHead(Head):
    """Predicts the coordinates of the joints directly from the deep map.

    A point-wise layer, the mean over a 4 x 4 grid of regions (so that where something was seen is
    not lost, whatever the size of the map), and one linear layer. Coordinates are normalised to
    [-1, 1] over the picture.

    The loss is the mean absolute error: its gradient does not grow with the distance, so that a few
    joints that are far off do not outweigh the many that are nearly right.
    A regressor has no confidence: every score is 1.

    Args:
        hidden: Channels of the hidden layer.

    Raises:
        InputError: `hidden` is not positive.
    """

    predicts: ClassVar = "keypoints"

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        if hidden < 1:
            raise InputError(
                f"Expected RegressionHead.hidden of 1 or more, found {hidden}; correct the head."
            )
        self.hidden = hidden

    @override
    def build(self, spec: FeatureSpec, skeleton: Skeleton, input_size: tuple[int, int]) -> None:
        self.num_joints = skeleton.num_joints
        last = nn.Linear(16 * self.hidden, 2 * self.num_joints)
        # The first guess is the middle of the picture.
        for parameter in last.parameters():
            nn.init.normal_(parameter, std=0.001)
        self.layers = nn.Sequential(
            nn.Conv2d(spec.deep.channels, self.hidden, kernel_size=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            last,
        )

    @override
    def forward(self, features: Features) -> Float[Tensor, "B K 2"]:
        regions = self.layers[:-1](features.deep)
        # In single precision: bfloat16 goes in steps of a quarter pixel near the edge of 128.
        with torch.autocast(regions.device.type, enabled=False):
            coordinates: Tensor = self.layers[-1](regions.float())
        return coordinates.view(-1, self.num_joints, 2)

    @override
    def encode(self, batch: Batch, shape: torch.Size) -> Target:
        height, width = batch.image.shape[2:]
        labelled = batch.labelled[..., None]
        value = to_unit(batch.keypoints, (height, width)).masked_fill(~labelled, 0)
        return Target(value, labelled.float())

    @override
    def loss(self, output: Float[Tensor, "B K 2"], target: Target) -> Float[Tensor, ""]:
        return mean_absolute_error(output, target.value, target.weight)

    @override
    def decode(self, output: Float[Tensor, "B K 2"], size: tuple[int, int]) -> Prediction:
        keypoints = from_unit(output.float(), size)
        return Prediction(keypoints=keypoints, scores=torch.ones_like(keypoints[..., 0]))
