"""A vision transformer of timm followed by transposed convolutions."""

import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.deconvolution import deconvolutions
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.backbones.pretrained import load_weights, timm_normalisation
from lightning_pose.backbones.timm_backbone import check_channels
from lightning_pose.backbones.timm_encoder import create_timm_model
from lightning_pose.features import Features

__all__ = ["ViT"]


class ViT(Backbone):
    """A plain vision transformer with transposed convolutions, as in ViTPose.

    Xu et al., NeurIPS 2022, https://arxiv.org/abs/2204.12484. `deep` has one cell per patch: the
    normalised tokens of the last block, without those that belong to no patch. `dense` is the map
    of the last transposed convolution. Embeddings of the positions are interpolated to the grid of
    patches of each image, so that images may have any size.

    Args:
        encoder: timm's name of a vision transformer that takes `dynamic_img_size`, such as
            "vit_small_patch16_224".
        channels: Output channels of each transposed convolution (4 x 4, stride 2, with batch norm
            and ReLU); each halves the stride, which is the side of a patch at first.
        pretrained: Where the transformer's weights come from, see `DeconvolutionBackbone`.

    Raises:
        ConfigError: timm has no such transformer, the weights are missing or do not fit, or
            channels are missing or below 1.

    Example:
        >>> spec = ViT("vit_tiny_patch16_224", channels=[32, 32]).measure((64, 40))
        >>> spec.dense
        MapSpec(channels=32, stride=4, height=16, width=10)
        >>> spec.deep
        MapSpec(channels=192, stride=16, height=4, width=3)
    """

    weight_sources = ("pretrained",)

    def __init__(
        self,
        encoder: str = "vit_small_patch16_224",
        channels: Sequence[int] = (256, 256),
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.channels = check_channels("ViT", channels)
        self.pretrained = pretrained
        model: Any = create_timm_model(encoder, pretrained, {"dynamic_img_size": True})
        # Parameters of a classifier that is never called would stall DDP.
        model.prune_intermediate_layers(1)
        self.encoder_layers = model
        self._patch = int(model.feature_info[-1]["reduction"])
        self.multiple = math.lcm(self.multiple, self._patch)
        self.decoder_layers = deconvolutions(int(model.embed_dim), self.channels)
        if pretrained is not None:
            self.mean, self.std = timm_normalisation(encoder)
            if pretrained != "imagenet":
                load_weights(self.encoder_layers, encoder, pretrained)

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, self._patch)
        (deep,) = self.encoder_layers.forward_intermediates(
            padded, indices=1, norm=True, intermediates_only=True
        )
        dense: Tensor = self.decoder_layers(deep)
        return Features(dense=cut_map(dense, padded, size), deep=cut_map(deep, padded, size))
