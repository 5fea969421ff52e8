"""The head contract: layers on features, the target they learn, the loss, and the decoding."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose.batch import Batch, Features, FeatureSpec, Prediction, Target
from lightning_pose.skeletons import Skeleton

__all__ = ["Head"]


class Head(nn.Module, ABC):
    """Answers one question about a picture.

    The constructor takes the settings and keeps each as an attribute of the same name, since a
    checkpoint reads them back from there. `build` makes the layers once the features are known.
    An output is raw, without an activation: `loss` and `decode` apply what they need.

    Attributes:
        predicts: Which fields of a `Prediction` it fills, and so which metrics judge it.
    """

    predicts: ClassVar[Literal["keypoints", "mask"]]

    @abstractmethod
    def build(self, spec: FeatureSpec, skeleton: Skeleton, input_size: tuple[int, int]) -> None:
        """Make the layers.

        Args:
            spec: The feature maps that the backbone gives.
            skeleton: The joints to predict.
            input_size: Height and width of the network's input in pixels.
        """

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Compute the raw output from the feature maps."""

    @abstractmethod
    def encode(self, batch: Batch, shape: torch.Size) -> Target:
        """Build the target of a batch, on the batch's device.

        Args:
            batch: The persons; unlabelled joints, unknown mask pixels and padding get weight 0.
            shape: The shape of this head's output for the batch.

        Returns:
            The target and its weight.
        """

    @abstractmethod
    def loss(self, output: Tensor, target: Target) -> Float[Tensor, ""]:
        """Compare an output with its target.

        The mean is over what is labelled, and a batch without a label gives 0 with a gradient of 0.
        """

    @abstractmethod
    def decode(self, output: Tensor, size: tuple[int, int]) -> Prediction:
        """Read the prediction out of a raw output.

        Args:
            output: The raw output.
            size: Height and width in pixels of the pictures that went in.

        Returns:
            Keypoints with scores, or a mask, in the frame of the input.
        """
