"""The weighting contract: how the losses of several heads are combined."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose.features import Features

__all__ = ["TrainingStep", "Weighting"]


@dataclass
class TrainingStep:
    """What a weighting sees of one training step, before the losses are summed.

    Attributes:
        losses: The unweighted losses by head name, with their graph, divided by the labels of all
            processes; 0 for a head without a label in this process.
        features: Each head's own view of the feature maps: the gradient of a head's loss at its
            view comes from this head alone, and nothing is counted twice if one map depends on
            another.
        step: Optimiser steps made so far.
        epoch: Epochs finished so far.
        mean: Computes the mean of a tensor over all processes, the same in each of them. Gradients
            from `torch.autograd.grad` are those of this process alone.
        scale: The factor to multiply losses by before computing their gradients, so that these do
            not vanish in half precision; 1 in other precisions.
        processes: Number of processes.
    """

    losses: Mapping[str, Float[Tensor, ""]]
    features: Mapping[str, Features]
    step: int
    epoch: int
    mean: Callable[[Tensor], Tensor]
    scale: float = 1.0
    processes: int = 1

    def gradients(self) -> dict[str, list[Tensor]]:
        """The gradient of each head's loss at its own view of the features, in this process.

        The pass runs only through the heads and keeps the graph for the backward pass that follows.

        Returns:
            By head name, one gradient in single precision per feature map, in the order of
            `Features.maps`; 0 for a map that the head does not read.
        """
        views = [value for features in self.features.values() for value in features.maps]
        # A map of frozen layers has no gradient.
        places = [place for place, view in enumerate(views) if view.requires_grad]
        total = torch.stack(list(self.losses.values())).sum() * self.scale
        # One pass for all heads, since no loss depends on the view of another head.
        inputs = [views[place] for place in places]
        found: Sequence[Tensor | None] = ()
        if inputs:  # A frozen backbone has none.
            found = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
        full = [torch.zeros_like(view, dtype=torch.float32) for view in views]
        for place, one in zip(places, found, strict=True):
            if one is not None:
                full[place] = one.float() / self.scale
        each = len(full) // len(self.features)
        return {name: full[n * each : (n + 1) * each] for n, name in enumerate(self.features)}

    def gramian(self) -> Float[Tensor, "n n"]:
        """Inner products of the heads' gradients at the features, over the people of all processes.

        Returns:
            A matrix with the squared gradient norms on the diagonal, in the order of the losses,
            from which gradient-based weightings compute their weights. A head without a label has
            a row of 0. Two heads that read different maps count as orthogonal, even if the maps
            share layers.
        """
        found = self.gradients()
        # One map after the other, because the gradients of all take much memory.
        maps = zip(*(found[name] for name in self.losses), strict=True)
        rows = (torch.stack([one.flatten() for one in gradients]) for gradients in maps)
        products = torch.stack([matrix @ matrix.T for matrix in rows]).sum(dim=0)
        # Each process divides its sums by the mean weight, not by the total.
        return self.mean(products) / self.processes

    def overall(self) -> Float[Tensor, " n"]:
        """The losses over the people of all processes, as numbers without a graph.

        Returns:
            One loss per head, in the order of the losses; 0 for a head without a label.
        """
        return self.mean(torch.stack([loss.detach() for loss in self.losses.values()]))


class Weighting(nn.Module):
    """Combines the losses of the heads into the one that is minimised; this one adds them up.

    In each training step the module calls `observe`, which may change the weights, and then the
    weighting itself. A subclass whose weights are computed sets `current_weights` in `observe`, and
    needs nothing else. Weights that are learnt by gradient descent are parameters, which the
    optimiser gets without weight decay, and which take part in every total; other state is kept in
    buffers. A subclass stores each constructor argument as an attribute of the same name, because
    checkpoints read the arguments from there.

    The weight of a head without a label in a batch must not change for that reason: its loss is 0
    only because there is nothing to compute it from. A loss that is NaN or infinite stops the
    training, even with a computed weight of 0; only `FixedWeighting` leaves a head out.

    Attributes:
        own_backward: Whether it overrides `backward`. Such a weighting is refused with more than
            one process, accumulated batches or scaled losses, because its gradients would then be
            wrong.
        judges_steps: Whether `after_step` is called. Such a weighting is refused with accumulated
            batches.
        head_names: The names of the heads.
        current_weights: The weight of each head, in the order of `head_names`.
    """

    own_backward: ClassVar[bool] = False
    judges_steps: ClassVar[bool] = False
    head_names: list[str]
    current_weights: Float[Tensor, " n"]

    def build(self, head_names: Sequence[str]) -> None:
        """Set the names of the heads, and check the settings against them."""
        self.head_names = list(head_names)
        self.register_buffer("current_weights", torch.ones(len(self.head_names)))

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Combine unweighted losses by head name into one, with the current weights.

        It must not change state, because validation calls it too.
        """
        return (self.current_weights * self.stack(losses)).sum()

    def head_weights(self) -> Mapping[str, float | Float[Tensor, ""]]:
        """The current weight of each head; a constant 0 leaves the head untrained."""
        return dict(zip(self.head_names, self.current_weights, strict=True))

    def stack(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, " n"]:
        """The losses in the order of `head_names`."""
        return torch.stack([losses[name] for name in self.head_names])

    def observe(self, step: TrainingStep) -> None:
        """Look at a training step, and set the weights for it; autocast is off.

        Each process sees only its own people: anything that the weights depend on must go through
        `step.mean`, and a random choice must use a generator seeded with `step.step`. Batches that
        are accumulated to one optimiser step are observed one by one, with the same `step.step`.

        Args:
            step: The losses and features of the step.
        """

    def backward(
        self, total: Float[Tensor, ""], step: TrainingStep, shared: Iterable[nn.Parameter]
    ) -> None:
        """Compute the gradients; called only if `own_backward` is set.

        Args:
            total: What `forward` returned.
            step: What `observe` was given.
            shared: The parameters of the backbone.
        """
        total.backward()

    def after_step(self, losses: Float[Tensor, " n"]) -> None:
        """Look at what an optimiser step has changed; called only if `judges_steps` is set.

        Args:
            losses: Those of `TrainingStep.overall` for the same batch, with the same dropout, and
                with the network after the step.
        """
