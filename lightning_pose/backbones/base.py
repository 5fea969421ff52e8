"""The backbone contract: a normalised picture in, feature maps out, their shapes measured."""

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
        """Find the channels, strides and sizes of the feature maps by one forward pass.

        Args:
            input_size: Height and width of the network's input in pixels.

        Returns:
            What this backbone gives for pictures of that size.

        Raises:
            InputError: A map has another stride along the height than along the width.
        """
        was_training = self.training
        parameter = next(self.parameters())
        picture = torch.zeros(1, 3, *input_size, device=parameter.device, dtype=parameter.dtype)
        # In eval mode, so that running statistics do not learn from an empty picture.
        self.eval()
        with torch.no_grad():
            features = self(picture)
        self.train(was_training)

        def spec(feature_map: Tensor) -> MapSpec:
            channels, height, width = feature_map.shape[1:]
            strides = round(input_size[0] / height), round(input_size[1] / width)
            if strides[0] != strides[1]:
                raise InputError(
                    f"Expected feature maps of one stride, found {strides[0]} pixels a row and "
                    f"{strides[1]} a column for an input of {input_size[0]} x {input_size[1]}; "
                    "choose another input_size."
                )
            return MapSpec(channels, strides[0], height, width)

        return FeatureSpec(
            spec(features.dense), spec(features.deep), tuple(spec(aux) for aux in features.aux)
        )
