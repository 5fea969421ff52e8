"""Which metrics apply to which head, and which of them is the main metric."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError
from lightning_pose.metrics.accuracy import Accuracy
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.dice import Dice
from lightning_pose.metrics.judged import Judged, judge
from lightning_pose.metrics.keypoints import KeypointMetric
from lightning_pose.metrics.mae import MAE
from lightning_pose.metrics.pck import PCK, PCKh
from lightning_pose.metrics.rmse import RMSE
from lightning_pose.prediction import Prediction
from lightning_pose.sample import PEOPLE_PER_SET
from lightning_pose.skeletons import Skeleton
from lightning_pose.task import Task

__all__ = ["Judgement", "Scores", "default_metrics"]

# "HEAD/loss" is logged, and predictions.npz has "HEAD/FIELD" and "HEAD/errors".
_TAKEN = ("loss", "errors", *Prediction.__dataclass_fields__)


class Judgement(TypedDict):
    """The results for one batch: the output of `validation_step`, which callbacks read.

    Attributes:
        judged: Each head's prediction and its errors, by head.
        values: The value of each person, by head and metric; NaN where nothing is labelled. A head
            without metrics has its "loss".
    """

    judged: dict[str, Judged]
    values: dict[str, dict[str, Float[Tensor, " B"]]]


def default_metrics(skeleton: Skeleton) -> dict[str, PoseMetric]:
    """The metrics of a model that declares none, for every head that fills the fields they need.

    Args:
        skeleton: The joints.

    Returns:
        PCKh@0.5 if the skeleton has a head, PCK@0.2 if it has a torso, RMSE, Dice, and for
        image-level labels Accuracy and MAE.

    Example:
        >>> from lightning_pose.skeletons import LSP14
        >>> list(default_metrics(LSP14))
        ['PCKh', 'PCK', 'RMSE', 'Dice', 'Accuracy', 'MAE']
    """
    metrics: dict[str, PoseMetric] = {}
    if skeleton.head is not None:
        metrics["PCKh"] = PCKh()
    if skeleton.torso is not None:
        metrics["PCK"] = PCK()
    return metrics | {"RMSE": RMSE(), "Dice": Dice(), "Accuracy": Accuracy(), "MAE": MAE()}


class Scores(nn.Module):
    """The metrics of every head over some people, and the main metric among them.

    Each head gets its own copy of every metric whose `needs` it fills; metrics of labels need to
    know which label the head predicts.

    Args:
        heads: The fields of a `Prediction` that each head fills, by head name.
        metrics: The declared metrics by name, which are not changed.
        task: The joints.
        main_head: The head of the main metric.
        main_metric: The main metric: "METRIC" of the main head, "HEAD/METRIC", "loss" for the
            weighted loss, or "HEAD/loss"; by default the first metric of the main head that has a
            value, or else its loss.
        labels: The image-level label that each of some heads predicts, by head name.

    Raises:
        ConfigError: There is no such head or metric, or a metric's name cannot be used.
    """

    def __init__(
        self,
        heads: Mapping[str, tuple[str, ...]],
        metrics: Mapping[str, PoseMetric],
        task: Task,
        main_head: str,
        main_metric: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        _check_names(metrics)
        self._labels = dict(labels or {})
        if main_head not in heads:
            raise ConfigError(
                f"Expected main_head to be one of {', '.join(heads)}, found {main_head!r}; "
                "correct model.main_head."
            )
        scored = {
            # A label can only be scored if it is known which one it is.
            head: fills if head in self._labels else set(fills) - {"probabilities", "value"}
            for head, fills in heads.items()
        }
        self._names = {
            head: [name for name, metric in metrics.items() if metric.needs in fields]
            for head, fields in scored.items()
        }
        self._keys = [f"{head}/{name}" for head, names in self._names.items() for name in names]
        # A list, because the keys of a ModuleDict must not contain the dot of "PCK@0.5".
        self._metrics = nn.ModuleList(
            _built(metrics[name], task) for names in self._names.values() for name in names
        )
        self._sets: list[str] = []
        self._of_sets = nn.ModuleList()
        self._main = [f"{main_head}/{name}" for name in (*self._names[main_head], "loss")]
        if main_metric is not None:
            self._main = [self._find(main_metric, main_head)]

    def _find(self, main_metric: str, main_head: str) -> str:
        """The main metric as "HEAD/METRIC", "HEAD/loss", or "/loss" for the weighted loss."""
        own = self._names[main_head]
        losses = [f"{head}/loss" for head in self._names]
        if main_metric == "loss":
            return "/loss"
        if main_metric in own:
            return f"{main_head}/{main_metric}"
        if main_metric in (*self._keys, *losses):
            return main_metric
        raise ConfigError(
            f"Expected main_metric to be one of {', '.join([*own, *self._keys])}, loss, "
            f"{', '.join(losses)}, found {main_metric!r}; correct model.main_metric."
        )

    @property
    def unscored(self) -> list[str]:
        """The heads that no metric applies to."""
        return [head for head, names in self._names.items() if not names]

    def divide(self, sets: Sequence[str]) -> None:
        """Also score each set of a mix on its own from now on.

        Args:
            sets: The names of the sets, in the order of their people's `person_id`; none for people
                that are not mixed.
        """
        self._sets = list(sets)
        copies = [[cast("PoseMetric", metric).clone() for metric in self._metrics] for _ in sets]
        self._of_sets = nn.ModuleList(nn.ModuleList(metrics) for metrics in copies)
        self.reset()

    def _metric(self, key: str, place: int | None = None) -> PoseMetric:
        """A metric over everybody, or over the set at a place."""
        metrics = self._metrics if place is None else cast("nn.ModuleList", self._of_sets[place])
        return cast("PoseMetric", metrics[self._keys.index(key)])

    @torch.no_grad()
    def update(self, predictions: Mapping[str, Prediction], batch: Batch) -> Judgement:
        """Count one batch.

        Args:
            predictions: Prediction by head name, finite and in input pixels.
            batch: The people that they are for.

        Returns:
            The record of each head, and its metrics' values for each person.
        """
        judged = {
            head: judge(prediction, batch, self._labels.get(head))
            for head, prediction in predictions.items()
        }
        values = {
            head: {name: self._metric(f"{head}/{name}").judge(record) for name in self._names[head]}
            for head, record in judged.items()
        }
        for place in range(len(self._sets)):
            of_set = batch.person_id // PEOPLE_PER_SET == place
            rows: list[int] = of_set.nonzero().flatten().tolist()
            # Most batches are of a single set.
            for head, record in judged.items() if rows else ():
                part = record if len(rows) == len(batch) else record.select(rows)
                for name in self._names[head]:
                    self._metric(f"{head}/{name}", place).judge(part)
        return Judgement(judged=judged, values=values)

    def compute(self, losses: Mapping[str, float | Tensor]) -> dict[str, Float[Tensor, ""]]:
        """Compute the metrics over all processes.

        Args:
            losses: The loss over all people by head name, and the weighted one as "".

        Returns:
            The values by "HEAD/METRIC", "HEAD/METRIC/GROUP" and "HEAD/METRIC/SET", and the main
            metric as "main", signed so that higher is better. A value is NaN if nothing was
            labelled.
        """
        figures = {
            f"{key}/{group}" if group else key: figure
            for key in self._keys
            for group, figure in self._metric(key).results().items()
        }
        for place, name in enumerate(self._sets):
            figures |= {f"{key}/{name}": self._metric(key, place).compute() for key in self._keys}
        main = torch.tensor(torch.nan)
        for key in self._main:
            head, name = key.split("/")
            if name == "loss":
                main = -torch.as_tensor(losses.get(head, torch.nan))
            else:
                main = figures[key] if self._metric(key).higher_is_better else -figures[key]
            # If nobody has a head size, PCKh has no value.
            if not main.isnan():
                break
        return {**figures, "main": main}

    def directions(self) -> dict[str, bool]:
        """Whether higher is better, by each key of `compute`; in all processes at once."""
        return {
            key: key == "main" or bool(self._metric("/".join(key.split("/")[:2])).higher_is_better)
            for key in self.compute({})
        }

    def per_joint(self) -> dict[str, dict[str, Float[Tensor, ""]]]:
        """The results of the keypoint metrics for each joint, by "HEAD/METRIC" and joint."""
        metrics = {key: self._metric(key) for key in self._keys}
        return {k: m.per_joint() for k, m in metrics.items() if isinstance(m, KeypointMetric)}

    def reset(self) -> None:
        """Reset all metrics."""
        for key in self._keys:
            for place in (None, *range(len(self._sets))):
                self._metric(key, place).reset()


def _built(metric: PoseMetric, task: Task) -> PoseMetric:
    """A copy of a declared metric that knows the joints but has counted nobody yet."""
    copy = cast("PoseMetric", metric.clone())
    copy.build(task)
    copy.reset()
    return copy


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not name or "/" in name or name in _TAKEN:
            raise ConfigError(
                f"Expected metric names without '/' and other than {', '.join(_TAKEN)}, found "
                f"{name!r}; rename it under model.metrics."
            )
