"""The metric contract: one value over many people, and a value for each of them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from lightning_pose.metrics.judged import Judged
from lightning_pose.task import Task

__all__ = ["PoseMetric"]


class PoseMetric(Metric):
    """A torchmetrics metric that can also score a head of `PoseModule`.

    `update` and `compute` are those of torchmetrics and take plain tensors; `judge` takes the
    record that is computed once per head. States are sums and counts, so that neither the batch
    size nor the number of processes changes a result. A subclass stores each constructor argument
    as an attribute of the same name, because checkpoints read the arguments from there.

    In a `torchmetrics.MetricCollection`, give `compute_groups=False`: a collection joins the states
    of two metrics that agree on the first batch, as PCK and PCKh may.

    Attributes:
        needs: The field of a `Prediction` that it scores; heads that fill it get this metric.
        unit: The unit of its values, "" where there is none or it is not known.
        plot_upper_bound: 1 if its values are fractions; `lightning compare` takes its margin as a
            difference of fractions, and as a share of the baseline's mean elsewhere.
    """

    needs: ClassVar[str]
    unit: ClassVar[str] = ""
    is_differentiable = False
    full_state_update = False

    def __init__(self) -> None:
        # torchmetrics drops the cached result only in `update`, but `judge` changes states too.
        super().__init__(compute_with_cache=False)

    @property
    def update_called(self) -> bool:
        """True, so that torchmetrics does not warn about a result over no people, which is NaN."""
        return True

    def build(self, task: Task) -> None:
        """Take the joints from the task, if the constructor was not given them."""

    @abstractmethod
    def judge(self, judged: Judged) -> Float[Tensor, " B"]:
        """Add a batch to the states, and return the value of each person.

        Args:
            judged: The prediction and its errors.

        Returns:
            One value per person, NaN where nothing is labelled.
        """

    def results(self) -> dict[str, Float[Tensor, ""]]:
        """The results over all people: "" for the metric itself, and a name per group of joints."""
        return {"": self.compute()}

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Draw the value, or several values as a curve.

        Args:
            val: Results of `compute`; by default the current one.
            ax: The matplotlib axes to draw on; by default new ones.

        Returns:
            The matplotlib figure and axes.
        """
        return self._plot(val, ax)
