"""A weighted sum with constant weights."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.weightings.base import Weighting

__all__ = ["FixedWeighting"]


class FixedWeighting(Weighting):
    """The weighted sum of the losses.

    A head with weight 0 is left out of the sum, so that a NaN in its loss has no effect.

    Args:
        weights: Weight by head name, 0 or more; a head that is not named has weight 1.

    Raises:
        ConfigError: A weight is negative or not finite, or names a head that the model lacks;
            or no head has a weight above 0.

    Example:
        >>> weighting = FixedWeighting({"mask": 0.5})
        >>> weighting.build(["mask", "joints"])
        >>> weighting({"mask": torch.tensor(4.0), "joints": torch.tensor(1.0)})
        tensor(3.)
    """

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(
                    f"Expected a weight of 0 or more for head {name!r}, found {weight}; "
                    "correct model.weighting."
                )

    @override
    def build(self, head_names: Sequence[str]) -> None:
        unknown = sorted(set(self.weights) - set(head_names))
        if unknown:
            raise ConfigError(
                f"Expected weights for the heads {sorted(head_names)}, found some for {unknown}; "
                "correct model.weighting.weights, or add those heads."
            )
        if not any(self.weights.get(name, 1.0) > 0 for name in head_names):
            raise ConfigError(
                f"Expected a weight above 0 for at least one of the heads {sorted(head_names)}, "
                "found only zeros; raise one in model.weighting.weights."
            )
        self._head_names = list(head_names)

    @override
    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        weights = self.head_weights()
        terms = [weights[name] * loss for name, loss in losses.items() if weights[name] > 0]
        return torch.stack(terms).sum()

    @override
    def head_weights(self) -> dict[str, float]:
        return {name: self.weights.get(name, 1.0) for name in self._head_names}
