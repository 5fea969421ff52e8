"""The feature maps that a backbone passes to the heads, and their specification."""

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["FeatureSpec", "Features", "MapName", "MapSpec"]

MapName = Literal["dense", "deep"]
"""The finest and the coarsest map, between which a head may let the user choose."""


@dataclass(frozen=True)
class MapSpec:
    """The shape of one feature map.

    Attributes:
        channels: Number of channels.
        stride: Input pixels per cell, along both axes.
        height: Number of rows at the measured input size.
        width: Number of columns at the measured input size.
    """

    channels: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True)
class FeatureSpec:
    """The feature maps that a backbone returns, measured by a forward pass.

    Attributes:
        dense: The finest map, which spatial heads read.
        deep: The coarsest map, which regression and recurrent heads read.
        aux: Earlier dense maps for intermediate supervision, usually none; their stride is that of
            dense.
    """

    dense: MapSpec
    deep: MapSpec
    aux: tuple[MapSpec, ...] = ()


@dataclass
class Features:
    """The output of a backbone; see `FeatureSpec`. Without a decoder, dense and deep are one map.

    Attributes:
        dense: The finest map.
        deep: The coarsest map.
        aux: Earlier dense maps.
        image: The normalised input image, for heads that also read it; set by `PoseNetwork`.
        rgb: The same image from 0 to 1, for layers with a normalisation of their own; set by
            `PoseNetwork`.
        valid: False where an image was padded, None if none was; set by `PoseNetwork`.
    """

    dense: Float[Tensor, "B C h w"]
    deep: Float[Tensor, "B D h2 w2"]
    aux: tuple[Tensor, ...] = ()
    image: Float[Tensor, "B 3 H W"] | None = None
    rgb: Float[Tensor, "B 3 H W"] | None = None
    valid: Bool[Tensor, "B H W"] | None = None

    @property
    def maps(self) -> tuple[Tensor, ...]:
        """All feature maps: dense, deep, and the earlier ones."""
        return (self.dense, self.deep, *self.aux)

    def view(self) -> "Features":
        """The same maps as separate tensors in the graph.

        Each head reads its own view, so that the gradient of its loss alone can be computed there.
        """
        dense, deep, *aux = (value.view_as(value) for value in self.maps)
        return replace(self, dense=dense, deep=deep, aux=tuple(aux))
