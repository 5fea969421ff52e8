"""The data around a head: its raw output, the target of that output, and the prediction."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["Output", "Prediction", "Target"]

Output = Tensor | tuple[Tensor, ...]
"""The raw output of a head: one tensor, or a tuple of them (stages, steps, attention)."""


@dataclass
class Target:
    """The target of an output.

    Attributes:
        value: The desired output, in the shape that the head's loss compares.
        weight: Broadcastable to the value; 0 where nothing is known.
    """

    value: Tensor
    weight: Tensor


_FILL = {"keypoints": 1e6}  # In pixels: wrong by any metric. Every other field becomes 0.


@dataclass
class Prediction:
    """A head's predictions for B people; a field that the head does not fill is None.

    Attributes:
        keypoints: (x, y) in input pixels; a head that fills them fills scores as well.
        scores: The confidence of each keypoint, 0 to 1.
        mask: The probability that a pixel of the input is the person.
        heatmap: One map in which every joint is a peak, in cells of the head's grid.
        probabilities: The probability of each class of an image-level label.
        value: The value of a numeric image-level label.
        attention: The weights over feature cells at each of S steps.
    """

    keypoints: Float[Tensor, "B K 2"] | None = None
    scores: Float[Tensor, "B K"] | None = None
    mask: Float[Tensor, "B H W"] | None = None
    heatmap: Float[Tensor, "B 1 h w"] | None = None
    probabilities: Float[Tensor, "B C"] | None = None
    value: Float[Tensor, " B"] | None = None
    attention: Float[Tensor, "B S h2 w2"] | None = None

    def finite(self) -> "Prediction":
        """A copy without NaN and infinity, for scoring.

        A coordinate becomes a million pixels, which is wrong by any metric; anything else becomes
        0.
        """
        filled = {}
        for name in self.fields():
            value, instead = getattr(self, name), _FILL.get(name, 0.0)
            filled[name] = value.nan_to_num(instead, instead, instead)
        return Prediction(**filled)

    def fields(self) -> list[str]:
        """The names of the fields that are filled."""
        return [f.name for f in fields(self) if getattr(self, f.name) is not None]

    def select(self, places: list[int]) -> "Prediction":
        """The predictions for the people at some indices."""
        return Prediction(**{name: getattr(self, name)[places] for name in self.fields()})

    @classmethod
    def join(cls, parts: Sequence[tuple[list[int], "Prediction"]]) -> "Prediction":
        """Join the predictions for `Batch.parts`; smaller maps are padded with 0.

        Args:
            parts: For each group, the indices of its people in the batch, and their prediction.

        Returns:
            One prediction in the order of the batch.
        """
        if len(parts) == 1:
            return parts[0][1]
        order = torch.tensor([place for places, _ in parts for place in places]).argsort()

        def join(name: str) -> Tensor | None:
            values = [getattr(prediction, name) for _, prediction in parts]
            if values[0] is None:
                return None
            if values[0].dim() > 2 and name != "keypoints":
                rows, columns = (max(value.shape[axis] for value in values) for axis in (-2, -1))
                values = [
                    F.pad(value, (0, columns - value.shape[-1], 0, rows - value.shape[-2]))
                    for value in values
                ]
            return torch.cat(values)[order.to(values[0].device)]

        return cls(**{f.name: join(f.name) for f in fields(cls)})
