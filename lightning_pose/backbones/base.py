"""The backbone contract: a normalised picture in, feature maps out, their shapes measured."""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose.batch import Features, FeatureSpec, MapSpec
from lightning_pose.errors import InputError

__all__ = ["Backbone"]


class Backbone(nn.Module, ABC):
    """Turns pictures into feature maps.

    A subclass keeps each constructor argument as an attribute of the same name, since a checkpoint
    reads them back from there. An argument named `pretrained` says where initial weights come from;
    a checkpoint stores None in its place, because it brings the weights itself.

    Attributes:
        mean: Per-channel mean, on a scale of 0 to 1, that the weights expect to be subtracted.
        std: Per-channel standard deviation that the weights expect to be divided by.
    """

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @abstractmethod
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        """Compute the feature maps of normalised pictures of any size, odd sizes included."""

    def measure(self, input_size: tuple[int, int]) -> FeatureSpec:
        """Find the channels, strides and sizes of the feature maps by running the network.

        Args:
            input_size: Height and width of the network's input in pixels.

        Returns:
            What this backbone gives for pictures of that size.

        Raises:
            InputError: A stride is not whole, or differs between rows and columns.
        """
        modes = {module: module.training for module in self.modules()}
        # In eval mode, so that running statistics do not learn from an empty picture.
        self.eval()
        features = self._run_on_zeros(input_size)
        # A map of an odd picture is rounded up, so the stride is measured on one that divides well.
        even = [math.ceil(side / 64) * 64 for side in input_size]
        divisible = self._run_on_zeros((even[0], even[1]))
        # Not self.train(), which would wake what the user has frozen.
        for module, mode in modes.items():
            module.training = mode

        def spec(actual: Tensor, whole: Tensor) -> MapSpec:
            strides = even[0] / whole.shape[2], even[1] / whole.shape[3]
            if strides[0] != strides[1] or strides[0] != int(strides[0]):
                raise InputError(
                    "Expected feature maps of one whole stride, found "
                    f"{strides[0]:g} input pixels a row and {strides[1]:g} a column; "
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
