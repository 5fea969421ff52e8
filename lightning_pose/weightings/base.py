"""The weighting contract: how the losses of several heads become one."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose.batch import Features

__all__ = ["Weighting"]


class Weighting(nn.Module, ABC):
    """Turns the losses of the heads into the one that is minimised.

    A subclass keeps each constructor argument as an attribute of the same name, since a checkpoint
    reads them back from there.
    """

    @abstractmethod
    def build(self, head_names: Sequence[str]) -> None:
        """Learn which heads there are, and check the settings against them."""

    @abstractmethod
    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Combine the unweighted losses, by head name, into one."""

    def backward(
        self,
        total: Float[Tensor, ""],
        losses: Mapping[str, Float[Tensor, ""]],
        features: Features,
        shared_parameters: Iterable[nn.Parameter],
    ) -> None:
        """Fill the gradients: the seam for methods that work on the gradients of single heads.

        Args:
            total: What `forward` returned, divided by the batches whose gradients are accumulated,
                and scaled where the precision plugin scales losses.
            losses: The unweighted losses by head name, with their graph, not divided nor scaled.
            features: The feature maps that all heads read.
            shared_parameters: The parameters of the backbone.
        """
        total.backward()
