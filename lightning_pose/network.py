"""The network alone: backbone and heads, from an image to losses and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from lightning_pose.backbones.base import Backbone
from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.eval_mode import eval_mode
from lightning_pose.features import Features
from lightning_pose.heads.base import Head
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Output, Prediction
from lightning_pose.task import Task

__all__ = ["PoseNetwork"]


class PoseNetwork(nn.Module):
    """A backbone and the heads that read its features.

    Here, the parts are checked against each other once: the backbone is run to find the shapes of
    its features, and the heads are built on them.

    Args:
        backbone: Turns images into feature maps.
        heads: The heads by name.
        task: The joints, the input and the image-level labels.
        mean: Per-channel mean for normalising images, on a scale of 0 to 1.
        std: Per-channel standard deviation for normalising images, on the same scale.

    Raises:
        ConfigError: The parts do not fit together.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head],
        task: Task,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ConfigError(
                "Expected mean and std with one number for each of three channels, and std above "
                f"0, found {list(mean)} and {list(std)}; correct them."
            )
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        # In the state dict they would duplicate the spec's mean and std.
        self._mean: Tensor
        self._std: Tensor
        for name, values in (("_mean", mean), ("_std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        spec = backbone.measure(task.input_spec.nominal_size)
        self._coarsest = max(m.stride for m in (spec.dense, spec.deep, *spec.aux))
        for head in heads.values():
            head.build(spec, task)
        # Convolutions on a CPU, and on a GPU in half precision, are fastest in this layout.
        self.to(memory_format=torch.channels_last)

    @property
    def named_heads(self) -> dict[str, Head]:
        """The heads by name."""
        return {name: cast("Head", head) for name, head in self.heads.items()}

    def forward(self, image: Tensor, valid: Tensor | None = None) -> dict[str, Output]:
        """Compute every head's raw output.

        Args:
            image: (B, 3, H, W) RGB images, uint8 from 0 to 255 or floating point from 0 to 1.
            valid: False where an image was padded; None if none was.

        Returns:
            Raw output by head name.
        """
        features = self.features(image, valid)
        return {name: head(features) for name, head in self.named_heads.items()}

    def features(self, image: Tensor, valid: Tensor | None = None) -> Features:
        """Compute the feature maps.

        Args:
            image: Images as for `forward`.
            valid: False where an image was padded; None if none was.

        Returns:
            The maps, with the image for heads that look at it again.
        """
        scaled = image.float() / 255 if image.dtype == torch.uint8 else image
        normalised = (scaled - self._mean) / self._std
        features: Features = self.backbone(normalised)
        return replace(features, image=normalised, rgb=scaled, valid=valid)

    def losses(self, outputs: Mapping[str, Output], batch: Batch) -> dict[str, LossTerms]:
        """Compute every head's unweighted loss, as sums over labelled elements and their weights.

        Args:
            outputs: Raw output by head name, from `forward`.
            batch: The people in the images.

        Returns:
            The terms of each loss by head name.
        """
        return {
            name: head.loss(outputs[name], head.encode(batch, outputs[name]))
            for name, head in self.named_heads.items()
        }

    @torch.no_grad()
    def predict(self, image: Tensor, flip: bool = False) -> dict[str, Prediction]:
        """Predict in evaluation mode, whatever mode the network is in.

        Args:
            image: Images as for `forward`, without padding.
            flip: Average each output with that of the mirrored image.

        Returns:
            Prediction by head name, in pixels of the given images.

        Raises:
            ConfigError: With `flip`, the width is not a multiple of every stride.
        """
        with eval_mode(self):
            outputs = self(image)
            return self.decode(self.flip_average(outputs, image) if flip else outputs, image)

    def decode(self, outputs: Mapping[str, Output], image: Tensor) -> dict[str, Prediction]:
        """Decode the raw outputs for images without padding to predictions."""
        size = (image.shape[2], image.shape[3])
        return {name: head.decode(outputs[name], size) for name, head in self.named_heads.items()}

    def flip_average(self, outputs: Mapping[str, Output], image: Tensor) -> dict[str, Output]:
        """Average outputs with those of the mirrored images: the flip test.

        Args:
            outputs: Raw output by head name for the images.
            image: The images.

        Returns:
            The mean of both, by head name.

        Raises:
            ConfigError: The width is not a multiple of every stride.
        """
        if image.shape[3] % self._coarsest:
            raise ConfigError(
                f"Expected images whose width is a multiple of {self._coarsest} for the flip test, "
                f"found {image.shape[3]}; leave the flip test out, or choose another "
                "input_spec.size."
            )
        mirrored = self(image.flip(3))
        return {
            name: _mean(outputs[name], head.unflip(mirrored[name]))
            for name, head in self.named_heads.items()
        }

    def zero(self, features: Features) -> Tensor:
        """A zero to add to the loss, so that every parameter gets a gradient, as DDP requires.

        It depends on the parameters of the heads, not on their outputs, because the output of a
        head that the weighting leaves out may be NaN. It also depends on the feature maps, because
        only such heads may read a decoder. In a single process it would only cost time.

        Args:
            features: The feature maps of a training step.

        Returns:
            0, whatever the values.
        """
        reached = [value.flatten()[:1] for value in (*features.maps, *self.heads.parameters())]
        return (torch.cat([value.float() for value in reached]) * 0).nan_to_num(0).sum()


def _mean(one: Output, other: Output) -> Output:
    if isinstance(one, Tensor):
        return (one + cast("Tensor", other)) / 2
    return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))
