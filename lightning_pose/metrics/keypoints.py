"""The base of the keypoint metrics: sums and counts per joint, and results per joint or pair."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.joints import Average, check_average, over_joints, quotient
from lightning_pose.task import Task

__all__ = ["KeypointMetric", "Per"]

Per = Literal["joint", "pair"]
"""One result per joint, or per pair of left and right joints."""


class KeypointMetric(PoseMetric):
    """A metric that is a sum divided by a count of joints, or the root of that quotient.

    Args:
        num_joints: K, the number of joints; None if `build` sets it.
        average: "macro" for the mean of the per-joint values, which leaves out joints that never
            occur, "micro" to count every labelled joint once, "none" for one value per joint.
        joints: The names of the joints that count; by default all.
        per: In addition to the metric itself, one result per "joint", or per "pair" of a left and a
            right joint ("knee"; joints without a side stay single), with the metric's own average.

    Attributes:
        root: Whether a result is the square root of sum over count.
        total_dtype: The dtype in which the sums are exact.
    """

    needs = "keypoints"
    plot_legend_name = "Joint"
    root: ClassVar[bool] = False
    total_dtype: ClassVar[torch.dtype]

    total: Tensor
    count: Tensor
    _chosen: Tensor

    def __init__(
        self,
        num_joints: int | None,
        average: Average,
        joints: Sequence[str] | None,
        per: Per | None,
    ) -> None:
        super().__init__()
        check_average(average)
        if num_joints is not None and num_joints < 1:
            raise ConfigError(f"Expected at least 1 joint, found {num_joints}; correct num_joints.")
        if joints is not None and not joints:
            raise ConfigError(
                "Expected joints to name at least one joint, found none; leave it out to count all."
            )
        if per is not None and per not in get_args(Per):
            raise ConfigError(
                f"Expected per to be one of {', '.join(get_args(Per))}, found {per!r}; "
                "choose one of these, or leave it out."
            )
        self.num_joints = num_joints
        self.average: Average = average
        self.joints = joints
        self.per: Per | None = per
        self._groups: dict[str, list[int]] | None = None
        self._joints: dict[str, list[int]] = {}
        if num_joints is not None:
            self._make_states(num_joints)

    @override
    def build(self, task: Task) -> None:
        """Take the number and names of the joints from the task, and create the states.

        Args:
            task: Its skeleton names the joints.

        Raises:
            ConfigError: The skeleton's number of joints differs from `num_joints`, it does not have
                the joints that count, or the average gives no single value.
        """
        names = task.skeleton.names
        if self.average == "none":
            raise ConfigError(
                f"Expected average 'macro' or 'micro' for {type(self).__name__} in a model, found "
                "'none'; set per to 'joint' for one value per joint in addition to the average."
            )
        if self.num_joints not in (None, len(names)):
            raise ConfigError(
                f"Expected {type(self).__name__}.num_joints to be the skeleton's {len(names)}, "
                f"found {self.num_joints}; leave it out."
            )
        unknown = sorted(set(self.joints or ()) - set(names))
        if unknown:
            raise ConfigError(
                f"Expected {type(self).__name__}.joints to be among {', '.join(names)}, found "
                f"{', '.join(map(repr, unknown))}; correct the names."
            )
        self.num_joints = len(names)
        self._make_states(len(names))
        counted = [name for name in names if self.joints is None or name in self.joints]
        self._joints = {name: [names.index(name)] for name in counted}
        self._groups = {}
        for name in counted:
            group = _without_side(name, names) if self.per == "pair" else name
            self._groups.setdefault(group, []).append(names.index(name))
        chosen = [name in self.joints if self.joints is not None else True for name in names]
        self._chosen.copy_(torch.tensor(chosen))

    def _make_states(self, num_joints: int) -> None:
        total = torch.zeros(num_joints, dtype=self.total_dtype)
        count = torch.zeros(num_joints, dtype=torch.int64)
        self.add_state("total", default=total, dist_reduce_fx="sum")
        self.add_state("count", default=count, dist_reduce_fx="sum")
        # A buffer moves to the model's device; it follows from the settings, so it is not saved.
        chosen = torch.ones(num_joints, dtype=torch.bool)
        self.register_buffer("_chosen", chosen, persistent=False)

    def _check_built(self) -> None:
        """Refuse to count before the joints are known."""
        if self.num_joints is None:
            raise ConfigError(
                f"Expected {type(self).__name__} to know the joints, found none given; "
                "give num_joints, or call build with the task."
            )
        if self._groups is None and (self.joints is not None or self.per is not None):
            raise ConfigError(
                f"Expected the names of the joints, by which {type(self).__name__} selects and "
                "groups, found none; call build with the task, or leave out joints and per."
            )

    @torch.no_grad()
    def _add(
        self, values: Shaped[Tensor, "B K"], counted: Bool[Tensor, "B K"]
    ) -> Float[Tensor, " B"]:
        """Add the values of the joints that count, and return the value of each person."""
        self._check_built()
        counted = counted & self._chosen
        values = values.masked_fill(~counted, 0)
        self.total = self.total + values.sum(dim=0)
        self.count = self.count + counted.sum(dim=0)
        return quotient(values.sum(dim=1), counted.sum(dim=1), self.root).float()

    def compute(self) -> Float[Tensor, "*K"]:
        """The result over all people, or one per joint; NaN where nothing was labelled."""
        self._check_built()
        return over_joints(self.total, self.count, self.average, self.root)

    @override
    def results(self) -> dict[str, Float[Tensor, ""]]:
        """The result over all people as "", and with `per`, one for each group by its name."""
        if self.per is None:
            return super().results()
        self._check_built()
        assert self._groups is not None, "build names the groups"
        return self._over({"": list(range(len(self.total))), **self._groups})

    def per_joint(self) -> dict[str, Float[Tensor, ""]]:
        """The result of each joint that counts by its name, whatever `per` is; needs `build`."""
        return self._over(self._joints)

    def _over(self, groups: Mapping[str, list[int]]) -> dict[str, Float[Tensor, ""]]:
        # `compute` would gather the sums of all processes only for itself.
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            total, count = self.total, self.count
        return {
            name: over_joints(total[places], count[places], self.average, self.root)
            for name, places in groups.items()
        }


def _without_side(name: str, names: Sequence[str]) -> str:
    """The name that a left and a right joint share, or the name itself if the joint has no partner.

    Example:
        >>> _without_side("left_knee", ["left_knee", "right_knee"])
        'knee'
    """
    stem = name.removeprefix("left_").removeprefix("right_")
    return stem if {f"left_{stem}", f"right_{stem}"} <= set(names) else name
