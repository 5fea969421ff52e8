"""The mean of a loss over batches and processes."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from lightning_pose.losses.terms import LossTerms
from lightning_pose.metrics.joints import SUM_DTYPE

__all__ = ["LossMean"]


class LossMean(Metric):
    """One head's loss over all people: the sum over its terms of sum / weight.

    The mean of the batches' losses would depend on who shares a batch. This class keeps sums and
    weights, so that neither the batch size nor the number of processes changes the loss.

    Example:
        >>> loss = LossMean()
        >>> loss.update(LossTerms(torch.tensor([6.0, 1.0]), torch.tensor([4.0, 0.0])))
        >>> loss.update(LossTerms(torch.tensor([2.0, 3.0]), torch.tensor([4.0, 2.0])))
        >>> loss.compute()
        tensor(3.)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    sum: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__(dist_sync_fn=_gather)
        for name in ("sum", "weight"):
            # The first batch determines the number of terms.
            self.add_state(name, torch.zeros(1, dtype=SUM_DTYPE), dist_reduce_fx="sum")

    @property
    def update_called(self) -> bool:
        """True, so that torchmetrics does not warn about a loss over no people, which is NaN."""
        return True

    def update(self, terms: LossTerms) -> None:
        """Add the terms of a batch.

        Args:
            terms: As `Head.loss` returns them, the same number of terms in every batch.
        """
        for name, value in terms._asdict().items():
            total, value = _to_length(getattr(self, name), value.detach().to(SUM_DTYPE))
            setattr(self, name, total + value)

    def compute(self) -> Float[Tensor, ""]:
        """The loss, NaN without any label; a term without labels counts as 0.

        A diverged loss is infinite: NaN only means that nobody had a label.
        """
        terms = torch.where(self.weight > 0, self.sum / self.weight, 0.0)
        loss = terms.sum().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
        return loss.masked_fill(~(self.weight > 0).any(), torch.nan).float()


def _gather(value: Tensor, group: Any = None) -> list[Tensor]:
    """The states of all processes; a process that saw nobody does not know the number of terms."""
    return _to_length(*gather_all_tensors(value, group))


def _to_length(*values: Tensor) -> list[Tensor]:
    """Pad vectors with zeros to the length of the longest."""
    longest = max(len(value) for value in values)
    return [F.pad(value, (0, longest - len(value))) for value in values]
