"""Weights from the heads' gradients, by the methods of torchjd."""

import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["TorchJDWeighting"]


class TorchJDWeighting(Weighting):
    """Weights the losses as an aggregator of torchjd weights gradients.

    torchjd (https://torchjd.org, the extra `torchjd`) implements published methods that combine
    conflicting gradients, such as PCGrad, UPGrad, MGDA, CAGrad and IMTL-G. Here they compute one
    weight per head from the inner products of the gradients at the shared features, and one
    backward pass follows, as for any weighting. The layers of a head, too, are trained with its
    weighted loss.

    Aggregators that need more than the inner products are refused, such as GradDrop and ConFIG, and
    so are those that keep a state between steps, which a checkpoint could not restore, such as
    NashMTL and GradVac. IMTLG and AlignedMTL can give negative weights. FAMO, which needs only the
    losses, is `FAMOWeighting`.

    The methods see only the heads with labels in a batch; the others keep their weights. If a
    gradient is not finite, all do. A random order, as in PCGrad, depends on the step alone. Batches
    that are accumulated to one step have weights of their own, from the gradients of each.

    A model is built and loaded without torchjd, too, but not trained.

    Args:
        aggregator: The name of a class in `torchjd.aggregation`, such as "UPGrad".
        options: Arguments of that class, such as {"c": 0.5} for CAGrad.

    Raises:
        ConfigError: torchjd has no such aggregator that can be used here, or it rejects its
            options, or needs another package.
    """

    def __init__(self, aggregator: str, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.aggregator = aggregator
        self.options = dict(options or {})
        if find_spec("torchjd") is not None:
            self._solver()

    @override
    def observe(self, step: TrainingStep) -> None:
        # The methods loop over single numbers, for each of which a GPU would have to wait.
        gramian = step.gramian().cpu()
        seen = gramian.diagonal() > 0
        if not seen.any() or not gramian.isfinite().all():
            return
        # The processes draw the same numbers, and the generator of the training is left alone.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(step.step)
            try:
                found: Tensor = self._solver()(gramian[seen][:, seen])
            except ValueError as error:
                raise ConfigError(
                    f"Expected weights from {self.aggregator} for {int(seen.sum())} heads, found "
                    f"none: {error} Choose another aggregator."
                ) from error
        weights = self.current_weights.cpu()
        weights[seen] = found.to(weights.dtype)
        self.current_weights = weights.to(self.current_weights.device)

    def _solver(self) -> Any:
        """The function from inner products to weights."""
        if find_spec("torchjd") is None:
            raise ConfigError(
                "Expected the package torchjd for TorchJDWeighting, found none; run `pip install "
                "torchjd`, or choose another weighting."
            )
        package = importlib.import_module("torchjd.aggregation")
        base = package.GramianWeightedAggregator
        usable = {
            name: kind
            for name, kind in vars(package).items()
            # `reset` clears the state of those that have one.
            if isinstance(kind, type) and issubclass(kind, base) and not hasattr(kind, "reset")
            if kind is not base
        }
        if self.aggregator not in usable:
            raise ConfigError(
                "Expected an aggregator of torchjd that computes weights from the inner products "
                f"of the gradients of one step ({', '.join(sorted(usable))}), found "
                f"{self.aggregator!r}; correct model.weighting, or for FAMO choose FAMOWeighting."
            )
        # torchjd's own projection needs quadprog, which is under the GPL.
        projects = self.aggregator in ("UPGrad", "DualProj")
        defaults = {"projector": _project} if projects else {}
        try:
            return usable[self.aggregator](**defaults | self.options).gramian_weighting
        except (AttributeError, ImportError, TypeError, ValueError) as error:
            raise ConfigError(
                f"Expected options that torchjd's {self.aggregator} takes, found {self.options}: "
                f"{error}; correct model.weighting.options."
            ) from error


def _project(weights: Tensor, gramian: Tensor) -> Tensor:
    """Project weighted sums of gradients onto the sums that make no loss larger.

    For weights u, this is the v that minimises v^T G v with v >= u (proposition 1 of "Jacobian
    Descent For Multi-Objective Optimization", Quinton and Rey, 2024,
    https://arxiv.org/abs/2406.16232), found as non-negative least squares for v - u.

    Args:
        weights: (..., n) weights.
        gramian: (n, n) inner products of the gradients.

    Returns:
        The weights of the projections, of the same shape.
    """
    from scipy.optimize import nnls  # Slow to import, and needed for two methods only.

    matrix = gramian.double().numpy()
    # As in torchjd: the result is unique even if gradients are linearly dependent.
    matrix = matrix / np.trace(matrix) + 1e-4 * np.eye(len(matrix))
    root = np.linalg.cholesky(matrix).T
    found = [
        u + nnls(root, -root @ u)[0] for u in weights.double().reshape(-1, len(matrix)).numpy()
    ]
    return torch.from_numpy(np.stack(found)).to(weights.dtype).view_as(weights)
