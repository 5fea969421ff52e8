"""What flows through the package: one person, a batch of persons, features, targets, predictions.

Every key is always there. What a dataset does not know is written as data: a joint of visibility 0,
a mask of -1, a size of 0. So sets with and without masks mix in one batch, and each head's loss
ignores what is not labelled. Points follow `lightning_pose.geometry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int8, Int64, UInt8
from torch import Tensor

__all__ = [
    "Batch",
    "Example",
    "FeatureSpec",
    "Features",
    "MapSpec",
    "Prediction",
    "Sample",
    "Target",
    "collate",
]


@dataclass
class Sample:
    """One person in a picture, as a dataset gives it; every coordinate is in source pixels.

    Attributes:
        image: The RGB picture.
        keypoints: (x, y) a joint; (0, 0) where the visibility is 0, never NaN.
        visibility: COCO's flags: 0 unlabelled, 1 labelled but occluded, 2 visible.
        mask: 1 person, 0 background, -1 unknown.
        box: (x0, y0, x1, y1), tight around the person; the crop enlarges it.
        head_size: The length that PCKh divides by, 0 where it is unknown.
        torso_size: The length that PCK divides by, 0 where it is unknown.
        area: Square pixels that the person covers, 0 where it is unknown.
        person_id: A number that names this person within its dataset, across splits and runs.
        image_id: The picture's name, as messages and pictures show it.
    """

    image: UInt8[np.ndarray, "H0 W0 3"]
    keypoints: Float32[np.ndarray, "K 2"]
    visibility: UInt8[np.ndarray, " K"]
    mask: Int8[np.ndarray, "H0 W0"]
    box: Float32[np.ndarray, " 4"]
    head_size: float
    torso_size: float
    area: float
    person_id: int
    image_id: str


@dataclass
class Example:
    """One person cropped to the network's input: what a transform makes and `collate` stacks.

    Attributes:
        image: The RGB crop.
        keypoints: (x, y) a joint in input pixels; (0, 0) where the visibility is 0.
        visibility: As in `Sample`, and 0 for a joint that left the crop.
        mask: As in `Sample`, warped; 0 outside the picture where the person has a mask, else -1.
        crop: The affine matrix from source pixels to input pixels.
        source: The sample that the crop was made from; its keypoints are what metrics use.
    """

    image: UInt8[np.ndarray, "H W 3"]
    keypoints: Float32[np.ndarray, "K 2"]
    visibility: UInt8[np.ndarray, " K"]
    mask: Int8[np.ndarray, "H W"]
    crop: Float32[np.ndarray, "2 3"]
    source: Sample


@dataclass
class Batch:
    """B persons, ready for the network.

    Attributes:
        image: RGB in channels-first shape over channels-last memory.
        keypoints: (x, y) in input pixels, for targets; metrics use `source_keypoints`.
        visibility: 0 unlabelled or out of the crop, 1 occluded, 2 visible.
        mask: 1 person, 0 background, -1 unknown.
        valid: False where a picture was padded to the batch's size: nothing there counts.
        crop: The affine matrices from source pixels to input pixels.
        source_keypoints: (x, y) in source pixels, which no transform has touched.
        source_visibility: The visibility that belongs to them.
        head_size: In source pixels, 0 where unknown.
        torso_size: In source pixels, 0 where unknown.
        area: In square source pixels, 0 where unknown.
        image_size: Height and width of the source picture.
        person_id: The persons' numbers.
        image_id: The pictures' names.
    """

    image: UInt8[Tensor, "B 3 H W"]
    keypoints: Float32[Tensor, "B K 2"]
    visibility: UInt8[Tensor, "B K"]
    mask: Int8[Tensor, "B H W"]
    valid: Bool[Tensor, "B H W"]
    crop: Float32[Tensor, "B 2 3"]
    source_keypoints: Float32[Tensor, "B K 2"]
    source_visibility: UInt8[Tensor, "B K"]
    head_size: Float32[Tensor, " B"]
    torso_size: Float32[Tensor, " B"]
    area: Float32[Tensor, " B"]
    image_size: Int64[Tensor, "B 2"]
    person_id: Int64[Tensor, " B"]
    image_id: list[str]

    def __len__(self) -> int:
        """B, the number of persons."""
        return len(self.image_id)

    @property
    def labelled(self) -> Bool[Tensor, "B K"]:
        """True for each joint that a training target may use."""
        return self.visibility > 0

    @property
    def source_labelled(self) -> Bool[Tensor, "B K"]:
        """True for each joint that a metric counts, also where the crop has cut it off."""
        return self.source_visibility > 0

    def to(self, *args: Any, **kwargs: Any) -> "Batch":
        """A copy whose tensors were moved as by `torch.Tensor.to`; the names stay."""
        return self._map("to", *args, **kwargs)

    def pin_memory(self) -> "Batch":
        """A copy whose tensors are in pinned memory, from which copies to a GPU are quicker."""
        return self._map("pin_memory")

    def __getstate__(self) -> dict[str, Any]:
        # A worker hands each tensor over through shared memory, which for a small one takes longer
        # than copying it: a hand-over of 32 people took 4.2 ms so, and takes 2.0 ms.
        return {
            name: value.numpy() if isinstance(value, Tensor) and _is_small(value) else value
            for name, value in self.__dict__.items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, torch.from_numpy(value) if isinstance(value, np.ndarray) else value)

    def _map(self, method: str, *args: Any, **kwargs: Any) -> "Batch":
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "image_id"}
        moved = {name: getattr(value, method)(*args, **kwargs) for name, value in tensors.items()}
        return replace(self, **moved)


def _is_small(value: Tensor) -> bool:
    return value.device.type == "cpu" and value.numel() < 2**14 and not value.requires_grad


@dataclass(frozen=True)
class MapSpec:
    """The shape of one feature map.

    Attributes:
        channels: Its channels.
        stride: Input pixels per cell, along both axes.
        height: Its rows for the input size that was measured.
        width: Its columns for that input size.
    """

    channels: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True)
class FeatureSpec:
    """What a backbone promises to give, measured by a forward pass.

    Attributes:
        dense: The finest map, which spatial heads read.
        deep: The coarsest map, which regression and recurrent heads read.
        aux: Earlier dense maps for intermediate supervision, usually none.
    """

    dense: MapSpec
    deep: MapSpec
    aux: tuple[MapSpec, ...] = ()


@dataclass
class Features:
    """What a backbone gives; see `FeatureSpec`. Without a decoder dense and deep are one map."""

    dense: Float[Tensor, "B C h w"]
    deep: Float[Tensor, "B D h2 w2"]
    aux: tuple[Tensor, ...] = ()


@dataclass
class Target:
    """What an output should have been.

    Attributes:
        value: The wanted output, in the shape that the head's loss compares.
        weight: Broadcastable to the value; 0 where nothing is known.
    """

    value: Tensor
    weight: Tensor


@dataclass
class Prediction:
    """What a head says of B persons; the fields that it says nothing about are None.

    Attributes:
        keypoints: (x, y) in input pixels.
        scores: The confidence of each keypoint, 0 to 1.
        mask: The probability that a pixel of the input is the person.
    """

    keypoints: Float[Tensor, "B K 2"] | None = None
    scores: Float[Tensor, "B K"] | None = None
    mask: Float[Tensor, "B H W"] | None = None

    def finite(self) -> "Prediction":
        """A copy without NaN and infinity, for scoring.

        A coordinate that is none becomes a million pixels, which is wrong by any measure, a score
        that is none becomes 0, and so does a probability.
        """
        far = 1e6

        def clean(values: Tensor | None, instead: float) -> Tensor | None:
            return None if values is None else values.nan_to_num(instead, instead, instead)

        return Prediction(
            clean(self.keypoints, far), clean(self.scores, 0.0), clean(self.mask, 0.0)
        )


def collate(examples: Sequence[Example]) -> Batch:
    """Stack cropped persons into a batch, padding smaller crops at the right and below.

    Padded pixels are black, of unknown mask and not `valid`.

    Args:
        examples: One or more crops with the same number of joints.

    Returns:
        The batch, on the CPU.

    Raises:
        ValueError: There is no example.
    """
    if not examples:
        raise ValueError("Expected at least one example to collate, found none.")
    height = max(example.image.shape[0] for example in examples)
    width = max(example.image.shape[1] for example in examples)
    count = len(examples)
    image = np.zeros((count, height, width, 3), dtype=np.uint8)
    mask = np.full((count, height, width), -1, dtype=np.int8)
    valid = np.zeros((count, height, width), dtype=np.bool_)
    for row, example in enumerate(examples):
        h, w = example.mask.shape
        image[row, :h, :w] = example.image
        mask[row, :h, :w] = example.mask
        valid[row, :h, :w] = True
    sources = [example.source for example in examples]

    def stack(arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays))

    return Batch(
        # Pictures stay in the order in which they were decoded; convolutions like channels-last.
        image=torch.from_numpy(image).permute(0, 3, 1, 2),
        keypoints=stack([example.keypoints for example in examples]),
        visibility=stack([example.visibility for example in examples]),
        mask=torch.from_numpy(mask),
        valid=torch.from_numpy(valid),
        crop=stack([example.crop for example in examples]),
        source_keypoints=stack([source.keypoints for source in sources]),
        source_visibility=stack([source.visibility for source in sources]),
        head_size=torch.tensor([source.head_size for source in sources], dtype=torch.float32),
        torso_size=torch.tensor([source.torso_size for source in sources], dtype=torch.float32),
        area=torch.tensor([source.area for source in sources], dtype=torch.float32),
        image_size=torch.tensor([source.image.shape[:2] for source in sources]),
        person_id=torch.tensor([source.person_id for source in sources]),
        image_id=[source.image_id for source in sources],
    )
