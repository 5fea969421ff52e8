"""An encoder of timm followed by up-sampling and bottleneck blocks of ordinary convolutions."""

from torch import nn
from typing_extensions import override

from lightning_pose.backbones.timm_backbone import TimmBackbone
from lightning_pose.errors import ConfigError

__all__ = ["FullyConvolutionalBackbone"]

_ROUNDS = 3  # Of 1 x 1 convolutions at the end.
_EXPANSION = 4  # Of ResNet's bottleneck: its 3 x 3 convolution has a quarter of the channels.


class FullyConvolutionalBackbone(TimmBackbone):
    """Bottleneck blocks over the last map of an encoder, in place of transposed convolutions.

    From "Human Pose Estimation from a Single Image" (Wang, Hao): the transposed convolutions of
    Simple Baselines are replaced by blocks of 1 x 1, 3 x 3 and 1 x 1 convolutions, and three rounds
    of 1 x 1 convolutions end the network. How it regains resolution is not known: here, each block
    follows a bilinear up-sampling by 2. The blocks are those of ResNet, whose shortcut has a 1 x 1
    convolution with batch norm where the channels change. A round is a 1 x 1 convolution with batch
    norm and ReLU.

    `deep` is the last map of the encoder, `dense` that of the last round.

    Args:
        encoder: timm's name of an encoder, such as "resnet50".
        channels: Output channels of each block, multiples of 4; each halves the stride.
        pretrained: Where the encoder's weights come from, see `DeconvolutionBackbone`.
        frozen_stride: Freezes the encoder's first layers, see `DeconvolutionBackbone`.

    Raises:
        ConfigError: As of `DeconvolutionBackbone`, or channels are no multiples of 4.

    Example:
        >>> spec = FullyConvolutionalBackbone("resnet18", channels=[32, 16, 8]).measure((64, 48))
        >>> spec.dense
        MapSpec(channels=8, stride=4, height=16, width=12)
    """

    @override
    def decoder(self, before: int) -> nn.Sequential:
        if any(number % _EXPANSION for number in self.channels):
            raise ConfigError(
                f"Expected FullyConvolutionalBackbone.channels as multiples of {_EXPANSION}, found "
                f"{self.channels}; round them."
            )
        # Here, because timm takes seconds to import.
        from timm.models.resnet import Bottleneck, downsample_conv

        layers: list[nn.Module] = []
        for after in self.channels:
            shortcut = None if before == after else downsample_conv(before, after, kernel_size=1)
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
            layers.append(Bottleneck(before, after // _EXPANSION, downsample=shortcut))
            before = after
        for _ in range(_ROUNDS):
            # Batch norm has its own bias.
            layers.append(nn.Conv2d(before, before, 1, bias=False))
            layers += [nn.BatchNorm2d(before), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)
