"""Random weights, drawn anew for every step."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["RandomWeighting"]


class RandomWeighting(Weighting):
    """Draws the weights of every optimiser step: the softmax of one normal number per head.

    From "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning" (Lin
    et al., TMLR 2022, https://arxiv.org/abs/2111.10603): what a weighting has to beat. The weights
    add up to 1.

    They depend only on the step and on the seed with which the model was built, which the
    checkpoint keeps: processes, accumulation and a resumed run change nothing.
    """

    seed: Int64[Tensor, ""]

    @override
    def build(self, head_names: Sequence[str]) -> None:
        super().build(head_names)
        # Reading the seed draws nothing: the layers start as with any other weighting.
        self.register_buffer("seed", torch.tensor(torch.initial_seed() % 2**63))

    @override
    def observe(self, step: TrainingStep) -> None:
        normal = np.random.default_rng([int(self.seed), step.step]).standard_normal
        drawn = torch.from_numpy(normal(len(self.head_names), dtype=np.float32))
        self.current_weights = drawn.softmax(dim=0).to(self.current_weights.device)
