"""The backbone contract: normalised images in, feature maps of measured shapes out."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.freezing import eval_frozen
from lightning_pose.errors import ConfigError
from lightning_pose.eval_mode import eval_mode
from lightning_pose.features import Features, FeatureSpec, MapSpec

__all__ = ["Backbone"]


class Backbone(nn.Module, ABC):
    """Turns images into feature maps.

    A subclass stores each constructor argument as an attribute of the same name, because
    checkpoints read the arguments from there.

    Attributes:
        weight_sources: The constructor arguments that say where initial weights come from; a
            checkpoint stores None for them, because it contains the weights.
        mean: Per-channel mean, on a scale of 0 to 1, that the weights expect to be subtracted from
            images.
        std: Per-channel standard deviation that the weights expect images to be divided by.
        multiple: Every stride divides the sides of images that are multiples of this.
    """

    weight_sources: ClassVar[tuple[str, ...]] = ()
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    multiple: int = 64

    @abstractmethod
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        """Compute the feature maps of normalised images of any size, including odd sizes."""

    @override
    def train(self, mode: bool = True) -> "Backbone":
        """Set training mode, except for frozen layers, whose statistics stay fixed too.

        Args:
            mode: Whether to train.

        Returns:
            This backbone.
        """
        super().train(mode)
        eval_frozen(self)
        return self

    def measure(self, input_size: tuple[int, int]) -> FeatureSpec:
        """Find the channels, strides and sizes of the feature maps by running the network.

        Args:
            input_size: Height and width of the network's input in pixels.

        Returns:
            The shapes and strides of the feature maps for images of that size.

        Raises:
            ConfigError: A stride is not an integer, or differs between rows and columns.
        """
        # Maps of odd-sized images are rounded up, so measure the stride at a size that divides
        # evenly.
        even = [math.ceil(side / self.multiple) * self.multiple for side in input_size]
        # In eval mode, so that the empty image does not update running statistics.
        with eval_mode(self):
            features = self._run_on_zeros(input_size)
            divisible = self._run_on_zeros((even[0], even[1]))

        def spec(actual: Tensor, whole: Tensor) -> MapSpec:
            strides = even[0] / whole.shape[2], even[1] / whole.shape[3]
            if strides[0] != strides[1] or strides[0] != int(strides[0]):
                raise ConfigError(
                    "Expected feature maps with one whole stride, found "
                    f"{strides[0]:g} input pixels per row and {strides[1]:g} per column; "
                    "choose another backbone or other options."
                )
            return MapSpec(actual.shape[1], int(strides[0]), actual.shape[2], actual.shape[3])

        return FeatureSpec(
            spec(features.dense, divisible.dense),
            spec(features.deep, divisible.deep),
            tuple(map(spec, features.aux, divisible.aux)),
        )

    @torch.no_grad()
    def _run_on_zeros(self, size: tuple[int, int]) -> Features:
        parameter = next(self.parameters())
        features: Features = self(
            torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype)
        )
        return features
