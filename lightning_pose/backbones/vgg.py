"""Stacks of 3x3 convolutions with pooling between them, as in VGG."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.pretrained import IMAGENET, copy_weights, load_weights
from lightning_pose.backbones.timm_encoder import create_timm_model
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features
from lightning_pose.layers import Init, Norm, activated, check_settings, init_weights

__all__ = ["VGG"]

_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

_NAMES = {8: "vgg11", 10: "vgg13", 13: "vgg16", 16: "vgg19"}
"""timm's names by the number of convolutions; loading compares the shapes."""


class VGG(Backbone):
    """Stages of 3x3 convolutions, each followed by 2x2 max pooling.

    From "Very Deep Convolutional Networks" (Simonyan and Zisserman, 2015,
    https://arxiv.org/abs/1409.1556), whose 16-layer network is the default, without its fully
    connected layers: those are `FullyConnectedHead`. As there, every convolution has a bias, which
    does nothing if batch norm follows it.

    `dense` is the map before the last pooling, `deep` the map after it. For VGG16's stages and
    images of 224 pixels, these are 14 x 14 and 7 x 7 cells with 512 channels.

    Args:
        stages: The channels of the convolutions of each stage.
        norm: Batch norm before or after each ReLU; None for no batch norm.
        dropout: The dropout probability after each pooling, or one for each stage.
        init: How weights start.
        pretrained: Where other initial weights come from. "imagenet": downloaded by timm, for the
            stages of VGG11, 13, 16 or 19. Anything else: a local file with the state dict of
            torchvision's or timm's VGG with these stages (.pth, .safetensors). With batch norm
            "before", both are those of the variant with batch norm; "after", there are none.

    Raises:
        ConfigError: There are no stages or more than six, a stage is empty, or another setting is
            out of range; or the weights are missing or do not fit.

    Example:
        >>> spec = VGG(stages=[[4], [6, 8]]).measure((64, 48))
        >>> spec.dense
        MapSpec(channels=8, stride=2, height=32, width=24)
        >>> spec.deep
        MapSpec(channels=8, stride=4, height=16, width=12)
    """

    weight_sources = ("pretrained",)

    def __init__(
        self,
        stages: Sequence[Sequence[int]] = _VGG16,
        norm: Norm | None = "before",
        dropout: float | Sequence[float] = 0.0,
        init: Init = "kaiming",
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        # Each stage halves the map: after six, a cell is 64 pixels wide.
        if not 1 <= len(stages) <= 6 or not all(stages) or min(map(min, stages)) < 1:
            raise ConfigError(
                "Expected VGG.stages with 1 to 6 lists of channels, none of them empty and no "
                f"number below 1, found {[list(stage) for stage in stages]}; [[32], [64], [128]] "
                "are three convolutions with pooling after each."
            )
        rates = list(dropout) if isinstance(dropout, Sequence) else [dropout] * len(stages)
        if len(rates) != len(stages):
            raise ConfigError(
                f"Expected VGG.dropout with one probability for each of {len(stages)} stages, "
                f"found {rates}; correct it, or give a single number for all."
            )
        check_settings("VGG", norm, init, rates)
        if pretrained is not None and norm == "after":
            raise ConfigError(
                "Expected VGG.norm before or null with pretrained weights, found after, for which "
                "nobody has published any; change it, or set VGG.pretrained to null."
            )
        self.stages = stages
        self.norm = norm
        self.dropout = dropout
        self.init = init
        self.pretrained = pretrained
        self._rates = rates
        self.layers = nn.ModuleList()
        channels = 3
        for widths in stages:
            stage: list[nn.Module] = []
            for width in widths:
                convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1)
                stage += activated(convolution, nn.BatchNorm2d(width), norm)
                channels = width
            self.layers.append(nn.Sequential(*stage))
        init_weights(self, init)
        if pretrained is not None:
            self.mean, self.std = IMAGENET
            # There, a pooling follows each stage in one sequence of layers.
            layers = [
                layer for stage in self.layers for layer in (*stage.children(), nn.Identity())
            ]
            same = nn.ModuleDict({"features": nn.Sequential(*layers)})
            name = _NAMES.get(sum(map(len, stages)), "VGG")
            name += "_bn" if norm == "before" else ""
            if pretrained == "imagenet":
                classifier = create_timm_model(name, pretrained, {"features_only": True})
                copy_weights(same, classifier.state_dict(), "the ImageNet weights")
            else:
                load_weights(same, name, pretrained)

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        dense = deep = image
        for stage, rate in zip(self.layers, self._rates, strict=True):
            dense = stage(deep)
            # The last row and column of an odd map are pooled by themselves.
            deep = F.max_pool2d(dense, kernel_size=2, ceil_mode=True)
            deep = F.dropout(deep, rate, self.training)
        return Features(dense=dense, deep=deep)
