"""The head contract: layers on features, their target, the loss, and the decoding."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from lightning_pose.batch import Batch
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Output, Prediction
from lightning_pose.task import Task

__all__ = ["Head"]


class Head(nn.Module, ABC):
    """Predicts one kind of label, such as keypoints or a mask, from the backbone's features.

    The constructor stores each setting as an attribute of the same name, because checkpoints read
    the settings from there. `build` creates the layers once the features are known. An output is a
    tensor or a tuple of tensors, raw, without an activation: `loss` and `decode` apply what they
    need. Lengths among the settings, such as a sigma, are in pixels of the input, so that another
    backbone does not change the target.

    Attributes:
        fills: The fields of a `Prediction` that the head fills; metrics, contact sheets and output
            files depend on them.
        steps: For a head that predicts one joint after the other, the name of the joint of each
            step, set in `build`; `fit --init_from` takes its weights only for the same steps.
        weight_sources: The constructor arguments that say where initial weights come from; a
            checkpoint stores None for them, because it contains the weights.
        label: The name of the image-level label that the head predicts, None if it predicts none.
    """

    fills: ClassVar[tuple[str, ...]]
    weight_sources: ClassVar[tuple[str, ...]] = ()
    steps: tuple[str, ...] = ()
    label: str | None = None

    @abstractmethod
    def build(self, spec: FeatureSpec, task: Task) -> None:
        """Create the layers.

        Args:
            spec: The feature maps that the backbone returns.
            task: The joints, the input, and the image-level labels.
        """

    @abstractmethod
    def forward(self, features: Features) -> Output:
        """Compute the raw output from the feature maps.

        In training, images may be padded: `features.valid` is False in the padding.
        """

    @abstractmethod
    def encode(self, batch: Batch, output: Any) -> Any:
        """Build the target of a batch, on the batch's device.

        Args:
            batch: The people; unlabelled joints, unknown mask pixels and padding get weight 0.
            output: This head's output for the batch. The target has its shape, and may also depend
                on its values, as the target of a refinement depends on the first estimate.

        Returns:
            A `Target`, or a tuple of them if the head has several.
        """

    @abstractmethod
    def loss(self, output: Any, target: Any) -> LossTerms:
        """Compare an output with its target, as sums over labelled elements and their weights."""

    @abstractmethod
    def decode(self, output: Any, size: tuple[int, int]) -> Prediction:
        """Decode a raw output to a prediction.

        Args:
            output: The raw output for images without padding.
            size: Height and width of the input images in pixels.

        Returns:
            The fields listed in `fills`, in the frame of the input.
        """

    @abstractmethod
    def unflip(self, output: Any) -> Any:
        """Map the output for mirrored images back to the images themselves.

        Left and right are swapped, in space and among the joints. The width of the images is a
        multiple of every stride. The flip test averages the result with the plain output.

        Args:
            output: The raw output for images that were mirrored left to right.

        Returns:
            The output as if the images had not been mirrored.
        """

    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        """Name the joint that each row of a parameter belongs to.

        `fit --init_from` copies rows with the same name to a head for other joints.

        Returns:
            By parameter name in the state dict, one name per row of the first axis; parameters that
            are not listed do not depend on individual joints.
        """
        return {}
