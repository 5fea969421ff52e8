"""Several data modules as one: their people in the same batches, under one skeleton."""

import inspect
import math
from pathlib import Path
from typing import Any

from typing_extensions import override

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datamodules.samplers import Plan, Weighted
from lightning_pose.datasets import MixedDataset, PoseDataset
from lightning_pose.datasets.checks import check_people
from lightning_pose.datasets.mix import choose_skeleton, merge_labels
from lightning_pose.datasets.skeleton_files import read_skeleton
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import Skeleton

__all__ = ["MixedDataModule"]


class MixedDataModule(PoseDataModule):
    """The people of several sets, see `MixedDataset`.

    Each set's own data module says where its files are and who is in which split. Input, batches
    and augmentation are those of the mix; a set with such settings of its own is refused. In
    validation and test, everyone of all sets is there once, and each metric is also given for each
    set, as "val/heatmap/PCKh/lsp".

    Args:
        sets: The data modules by name. Adding one at the end changes nobody's `person_id`.
        skeleton: The joints of the mix: a skeleton, a YAML file with one, or the name of a known
            one such as COCO17 (see `read_skeleton`); by default those of the first set.
        weights: The share of each set in a training epoch, in any unit; a set of weight 0 only
            validates and tests. A set whose share is larger than its number of people repeats
            them, with another augmentation each time. By default, an epoch has everyone once.
        people_per_epoch: People in a training epoch; by default as many as there are. Without
            weights, it is a random choice from all sets, or repeats everyone.
        **settings: Input, batch size and augmentation, see `PoseDataModule`. With
            `input_spec.short_side`, an epoch that is not everyone once is not sorted by size, and
            its batches are padded more.

    Raises:
        ConfigError: A setting is out of range, or the sets do not fit together.
    """

    def __init__(
        self,
        sets: dict[str, PoseDataModule],
        skeleton: Skeleton | str | Path | None = None,
        weights: dict[str, float] | None = None,
        people_per_epoch: int | None = None,
        **settings: Any,
    ) -> None:
        skeletons = {name: data.skeleton for name, data in sets.items()}
        if isinstance(skeleton, str | Path):
            skeleton = read_skeleton(skeleton)
        super().__init__(choose_skeleton(skeletons, skeleton), **settings)
        for name, data in sets.items():
            _check_settings(name, data)
        _check_weights(weights, list(sets))
        if people_per_epoch is not None and people_per_epoch < 1:
            raise ConfigError(
                f"Expected data.people_per_epoch of 1 or more, found {people_per_epoch}; leave it "
                "out for as many as there are."
            )
        self.sets = sets
        self.set_names = tuple(sets)
        self.labels = merge_labels({name: data.labels for name, data in sets.items()})
        self.weights = weights
        self.people_per_epoch = people_per_epoch

    @override
    def prepare_data(self) -> None:
        for data in self.sets.values():
            data.prepare_data()

    @override
    def everyone(self) -> MixedDataset:
        return self._mix({name: data.everyone() for name, data in self.sets.items()})

    @override
    def make_dataset(self, split: Split) -> MixedDataset:
        return self._mix({name: data.make_dataset(split) for name, data in self.sets.items()})

    def _mix(self, people: dict[str, PoseDataset]) -> MixedDataset:
        for name, data in self.sets.items():
            check_people(people[name], data.skeleton, data.labels)
        return MixedDataset(people, self.skeleton)

    @override
    def make_plan(self, split: Split, seed: int | None) -> Plan:
        drawn = self.weights is not None or self.people_per_epoch is not None
        if split != "train" or seed is None or not drawn:
            return super().make_plan(split, seed)
        mix = self._people(split)
        assert isinstance(mix, MixedDataset), "make_dataset makes one"
        counts, shares = [len(mix)], [1.0]
        if self.weights is not None:
            counts = [len(people) for people in mix.sets.values()]
            shares = [self.weights[name] for name in mix.sets]
        number = self.people_per_epoch or len(mix)
        drop_last = number >= self.batch_size
        return Weighted(counts, shares, number, self.batch_size, seed, drop_last)


def _check_settings(name: str, data: PoseDataModule) -> None:
    """Refuse a set with settings that only the mix uses; the defaults of its class are none."""
    defaults = _defaults(type(data))
    for key in _defaults(PoseDataModule):
        found = getattr(data, key)
        if found != defaults[key]:
            raise ConfigError(
                f"Expected the input, the batches and the augmentation of a mix in its own "
                f"settings, found {key}={found!r} in the set {name}; move {key} from there to "
                "data.init_args."
            )


def _defaults(kind: type[Any]) -> dict[str, Any]:
    """The defaults of a class, which may have others than the classes that it passes them to."""
    defaults: dict[str, Any] = {}
    makers = (vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base))
    for make in reversed(list(makers)):
        for key, parameter in inspect.signature(make).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                defaults[key] = parameter.default
    return defaults


def _check_weights(weights: dict[str, float] | None, names: list[str]) -> None:
    if weights is None:
        return
    values = list(weights.values())
    if set(weights) != set(names) or not all(0 <= value < math.inf for value in values):
        raise ConfigError(
            f"Expected a weight of 0 or more for each of the sets {', '.join(names)}, found "
            f"{weights}; correct data.weights."
        )
    if not any(values):
        raise ConfigError(
            f"Expected a weight above 0 for at least one set, found {weights}; correct "
            "data.weights."
        )
