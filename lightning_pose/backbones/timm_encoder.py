"""Encoders of timm: created, given initial weights, and run."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.freezing import freeze_layers
from lightning_pose.backbones.pretrained import load_weights, unknown_name, unreachable
from lightning_pose.errors import ConfigError

__all__ = ["TimmEncoder", "create_timm_model"]

# timm is imported where it is used, because it takes seconds to import.


class TimmEncoder(nn.Module):
    """A convolutional or hierarchical encoder of timm, without its classifier.

    Args:
        name: timm's name, such as "resnet50" or "convnext_tiny".
        pretrained: Where its weights come from, see `DeconvolutionBackbone`.
        frozen_stride: Freezes the layers that compute the map of this stride; None freezes nothing.

    Attributes:
        channels: Channels of the last map.
        stride: Input pixels per cell of the last map; the sides of images are multiples of it.

    Raises:
        ConfigError: timm has no such encoder, or none that takes images of any size; the weights
            are missing or do not fit; or there is no map of that stride.
    """

    def __init__(
        self, name: str, pretrained: str | None = None, frozen_stride: int | None = None
    ) -> None:
        super().__init__()
        model: Any = create_timm_model(name, pretrained, {"features_only": True})
        self.model = model
        self.channels = int(model.feature_info.channels()[-1])
        self.stride = int(model.feature_info.reduction()[-1])
        self._channels_last = getattr(model, "output_fmt", None) == "NHWC"
        if pretrained not in (None, "imagenet"):
            load_weights(model, name, pretrained)
        _check_any_size(self, name)
        if frozen_stride is not None:
            freeze_layers(self, frozen_stride, self.stride, name)

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Compute the maps, from the finest to the coarsest."""
        maps: list[Tensor] = self.model(image)
        return [value.permute(0, 3, 1, 2) for value in maps] if self._channels_last else maps


def create_timm_model(name: str, pretrained: str | None, options: dict[str, Any]) -> nn.Module:
    """Create a model of timm, with downloaded weights if they are asked for.

    Args:
        name: timm's name.
        pretrained: "imagenet" downloads the weights; anything else leaves random ones.
        options: Further arguments of `timm.create_model`.

    Raises:
        ConfigError: timm has no such model, or it does not take the options; or the weights cannot
            be downloaded.
    """
    import timm

    if not timm.is_model(name):
        raise ConfigError(unknown_name("an encoder of timm", name, timm.list_models()))
    try:
        return timm.create_model(name, pretrained=pretrained == "imagenet", **options)
    except OSError as error:
        raise unreachable(name, error) from error
    # timm passes options on unchecked, and fails wherever one is first used.
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected timm's {name} to take {options} and pretrained {pretrained}, found "
            f"{type(error).__name__}: {error}; choose another encoder or other weights."
        ) from error


@torch.no_grad()
def _check_any_size(encoder: TimmEncoder, name: str) -> None:
    """Refuse an encoder that takes images of one size only, as some transformers do."""
    side = 2 * encoder.stride
    try:
        encoder.eval()(torch.zeros(1, 3, side, side))
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"Expected an encoder that takes images of any size, found that {name} refuses "
            f"{side} x {side} pixels ({' '.join(str(error).split())}); choose another encoder."
        ) from error
    encoder.train()
