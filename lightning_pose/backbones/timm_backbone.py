"""What the decoders on an encoder of timm share."""

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.backbones.pretrained import timm_normalisation
from lightning_pose.backbones.timm_encoder import TimmEncoder
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features

__all__ = ["TimmBackbone", "check_channels"]


class TimmBackbone(Backbone):
    """A decoder over the last map of an encoder, without connections around it.

    `deep` is the last map of the encoder, `dense` that of the decoder.

    Args:
        encoder: timm's name of an encoder, such as "resnet50".
        channels: Output channels of each layer of the decoder; each halves the stride.
        pretrained: Where the encoder's weights come from, see `DeconvolutionBackbone`.
        frozen_stride: Freezes the encoder's first layers, see `DeconvolutionBackbone`.

    Raises:
        ConfigError: As of `DeconvolutionBackbone`.
    """

    weight_sources = ("pretrained",)

    def __init__(
        self,
        encoder: str = "resnet50",
        channels: Sequence[int] = (256, 256, 256),
        pretrained: str | None = None,
        frozen_stride: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.channels = check_channels(type(self).__name__, channels)
        self.pretrained = pretrained
        self.frozen_stride = frozen_stride
        self.encoder_layers = TimmEncoder(encoder, pretrained, frozen_stride)
        self.decoder_layers = self.decoder(self.encoder_layers.channels)
        if pretrained is not None:
            self.mean, self.std = timm_normalisation(encoder)

    @abstractmethod
    def decoder(self, before: int) -> nn.Sequential:
        """Make the decoder.

        Args:
            before: Channels of the encoder's last map.

        Returns:
            The layers, which double the sides of the map once for each of `channels`.

        Raises:
            ConfigError: The decoder cannot have these channels.
        """

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, self.encoder_layers.stride)
        deep: Tensor = self.encoder_layers(padded)[-1]
        dense: Tensor = self.decoder_layers(deep)
        return Features(dense=cut_map(dense, padded, size), deep=cut_map(deep, padded, size))


def check_channels(owner: str, channels: Sequence[int]) -> list[int]:
    """The channels of a decoder's layers as a list.

    Args:
        owner: The class whose setting it is, for the error message.
        channels: One number per layer.

    Raises:
        ConfigError: There is no layer, or one without channels.
    """
    if not channels or min(channels) < 1:
        raise ConfigError(
            f"Expected {owner}.channels with 1 or more for each of one or more layers, found "
            f"{list(channels)}; [256, 256, 256] is usual for an encoder of stride 32."
        )
    return list(channels)
