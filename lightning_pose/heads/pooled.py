"""Layers that predict a label of the whole image from the mean of a feature map."""

from collections.abc import Sequence
from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.backbones.padding import cut_map, pad_image
from lightning_pose.backbones.pretrained import timm_normalisation
from lightning_pose.backbones.timm_encoder import TimmEncoder
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapName
from lightning_pose.float32 import in_float32
from lightning_pose.heads.regression import pool_regions
from lightning_pose.task import Task

__all__ = ["FrozenClassifier", "PooledLayers", "check_label", "check_pooling"]


def check_pooling(owner: str, feature_map: str, hidden: int | None) -> None:
    """Refuse settings that `PooledLayers` cannot use.

    Args:
        owner: The class whose settings they are, for the error message.
        feature_map: The map that is pooled.
        hidden: Units of the hidden layer.

    Raises:
        ConfigError: There is no such map, or a hidden layer without units.
    """
    if feature_map not in get_args(MapName):
        raise ConfigError(
            f"Expected {owner}.feature_map to be one of {list(get_args(MapName))}, found "
            f"{feature_map!r}; choose one of them."
        )
    if hidden is not None and hidden < 1:
        raise ConfigError(
            f"Expected {owner}.hidden of 1 or more, found {hidden}; correct it, or leave it out "
            "to have no hidden layer."
        )


def check_label(owner: str, label: str, task: Task, has_classes: bool) -> Sequence[str]:
    """Refuse a label that the data do not have, or that is of the other kind.

    Args:
        owner: The class that predicts it, for the error message.
        label: The name of the label.
        task: What the data have.
        has_classes: Whether the label must have classes, or must be a number.

    Returns:
        The names of its classes.

    Raises:
        ConfigError: There is no such label of that kind.
    """
    classes = task.labels.get(label)
    if classes is not None and bool(classes) == has_classes:
        return classes
    kind = "a label with classes" if has_classes else "a label that is a number"
    other = "a number: use ValueHead" if has_classes else "one with classes: use ClassHead"
    known = [name for name, names in task.labels.items() if bool(names) == has_classes]
    advice = f"name one of {known}" if known else "add it to the data, or leave the head out"
    raise ConfigError(
        f"Expected {owner}.label to be {kind} in the data, found {label!r}, which is "
        f"{'not there' if classes is None else other}; {advice}."
    )


class PooledLayers(nn.Module):
    """The mean of a feature map over the image, and linear layers on it.

    Args:
        spec: The feature maps that the backbone returns.
        outputs: Numbers to predict for each image.
        feature_map: The map whose mean is taken.
        hidden: Units of a hidden layer with ReLU; None leaves it out.
        classifier: Further features of the image, joined with the mean; None for none.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        outputs: int,
        feature_map: MapName,
        hidden: int | None,
        classifier: "FrozenClassifier | None" = None,
    ) -> None:
        super().__init__()
        self.feature_map = feature_map
        self.classifier = classifier
        read = spec.dense if feature_map == "dense" else spec.deep
        self.stride = read.stride
        channels = read.channels + (0 if classifier is None else classifier.channels)
        self.hidden: nn.Module = nn.Identity()
        if hidden is not None:
            self.hidden = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU())
            channels = hidden
        self.last = nn.Linear(channels, outputs)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B outputs"]:
        vector = _mean(getattr(features, self.feature_map), features.valid, self.stride)
        if self.classifier is not None:
            assert features.rgb is not None, "PoseNetwork sets it"
            vector = torch.cat((vector, self.classifier(features.rgb, features.valid)), dim=1)
        return in_float32(self.last, self.hidden(vector))


class FrozenClassifier(nn.Module):
    """The features of a pretrained classifier, which is never trained.

    They are the mean over the image of the last map of its stages, which for a ResNet is what its
    last layer reads. Other networks have more layers in between, which are left out: EfficientNet a
    1 x 1 convolution, ConvNeXt a normalisation. It runs in evaluation mode, and normalises images
    as its own weights expect.

    Args:
        name: timm's name, such as "resnet50".
        pretrained: Where the weights come from, see `ClassHead`.

    Attributes:
        channels: The length of the vector of features.

    Raises:
        ConfigError: timm has no such model, or none that takes images of any size; or the weights
            are missing or do not fit.
    """

    def __init__(self, name: str, pretrained: str | None) -> None:
        super().__init__()
        self.encoder = TimmEncoder(name, pretrained).requires_grad_(False).eval()
        self.channels = self.encoder.channels
        # They follow from the name, so a checkpoint does not hold them.
        self._mean: Tensor
        self._std: Tensor
        for key, values in zip(("_mean", "_std"), timm_normalisation(name), strict=True):
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @override
    def train(self, mode: bool = True) -> "FrozenClassifier":
        """Stay in evaluation mode, whatever the mode of the model."""
        return super().train(False)

    @override
    @torch.no_grad()
    def forward(
        self, rgb: Float[Tensor, "B 3 H W"], valid: Bool[Tensor, "B H W"] | None
    ) -> Float[Tensor, "B channels"]:
        """Compute the features of images from 0 to 1; where they are padded, `valid` is False."""
        padded = pad_image((rgb - self._mean) / self._std, self.encoder.stride)
        last: Tensor = self.encoder(padded)[-1]
        size = rgb.shape[2], rgb.shape[3]
        return _mean(cut_map(last, padded, size), valid, self.encoder.stride)


def _mean(
    maps: Float[Tensor, "B C h w"], valid: Bool[Tensor, "B H W"] | None, stride: int
) -> Float[Tensor, "B C"]:
    """The mean over the cells of each image, without its padding, in float32."""
    if valid is None:
        return maps.float().mean(dim=(2, 3))
    return pool_regions(maps.float(), valid, stride, regions=1)[:, :, 0, 0]
