"""Several datasets as one, under one skeleton."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.checks import check_form
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import BoxAround
from lightning_pose.sample import PEOPLE_PER_SET, Annotation, Pixels
from lightning_pose.skeletons import Skeleton

__all__ = ["MixedDataset", "choose_skeleton", "merge_labels"]


class MixedDataset(PoseDataset):
    """The people of several datasets, one set after the other.

    Joints are matched by name: those that a set does not label are unlabelled, and those that the
    skeleton does not have are left out. No joint is made from others, such as a neck from the
    shoulders. Labels are matched by name as well, and so are their classes; where a set has no such
    label, it is unknown. Boxes, sizes and areas are those of the set, as if it were alone.

    The `person_id` is the place of the set times `PEOPLE_PER_SET`, plus the number that the person
    has there; a set that is added at the end changes nobody's number. The image "im0001.jpg" of the
    set "lsp" is named "lsp/im0001.jpg".

    Args:
        sets: The datasets by name.
        skeleton: The joints of the mix.

    Raises:
        ConfigError: A name cannot be used, a set has none of the joints, or a label has classes in
            one set and is a number in another.
        DataError: A set numbers its people beyond `PEOPLE_PER_SET`.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> from lightning_pose.skeletons import COCO17
        >>> halves = {split: SyntheticDataset(split, length=2) for split in ("train", "val")}
        >>> person = MixedDataset(halves, COCO17).annotation(2)
        >>> person.image_id, person.visibility[:7].tolist()  # No nose, eyes and ears.
        ('val/synthetic/val/000000000', [0, 0, 0, 0, 0, 2, 2])
    """

    def __init__(self, sets: Mapping[str, PoseDataset], skeleton: Skeleton) -> None:
        skeletons = {name: people.skeleton for name, people in sets.items()}
        self.sets = dict(sets)
        self.skeleton = choose_skeleton(skeletons, skeleton)
        self.labels = merge_labels({name: people.labels for name, people in sets.items()})
        self._names = list(sets)
        self._matches = [_Match.of(people, skeleton, self.labels) for people in sets.values()]
        self._starts = np.cumsum([0, *(len(people) for people in sets.values())])
        self.person_ids = np.concatenate(
            [
                number * PEOPLE_PER_SET + _numbers(name, people)
                for number, (name, people) in enumerate(sets.items())
            ]
        )

    @property
    @override
    def image_ids(self) -> np.ndarray:
        return np.concatenate(
            [np.strings.add(f"{n}/", people.image_ids) for n, people in self.sets.items()]
        )

    @override
    def annotation(self, index: int) -> Annotation:
        """The annotation of one person, with the joints and the labels of the mix.

        Args:
            index: Index of the person, from 0 to N - 1.

        Returns:
            The annotation.

        Raises:
            DataError: The set gives other joints or labels than it says, or a file that it needs
                cannot be read.
            IndexError: There is no such person.
        """
        name, match, place = self._find(index)
        annotation = match.people.annotation(place)
        # By position, other joints would pass for these; the rest is checked when it is cropped.
        check_form(annotation, match.people)
        return replace(
            annotation,
            keypoints=match.points(annotation.keypoints),
            visibility=match.flags(annotation.visibility),
            labels=match.labels_of(annotation.labels),
            person_id=int(self.person_ids[index]),
            image_id=f"{name}/{annotation.image_id}",
        )

    @override
    def box_around(self, index: int) -> BoxAround:
        _, match, place = self._find(index)
        return match.people.box_around(place)

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        _, match, place = self._find(index)
        return match.people.files(place)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        _, match, place = self._find(index)
        return match.people.image_size(place)

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        _, match, place = self._find(index)
        return match.people.read(place, shrink)

    def _find(self, index: int) -> tuple[str, "_Match", int]:
        """The name of the set, the set, and the index of the person in it."""
        index = range(len(self))[index]  # As in any sequence: -1 is the last.
        number = int(self.person_ids[index]) // PEOPLE_PER_SET
        return self._names[number], self._matches[number], index - int(self._starts[number])


@dataclass(frozen=True)
class _Match:
    """A set, and how its joints and labels become those of the mix.

    Attributes:
        people: The set.
        joints: For each joint of the mix, the place that it has in the set; -1 without one.
        unknown: The unknown value of each label of the mix.
        classes: For each label with classes that the set has, the index in the mix of each class.
    """

    people: PoseDataset
    joints: Int64[np.ndarray, " K"]
    unknown: dict[str, int | float]
    classes: dict[str, list[int]]

    @classmethod
    def of(
        cls, people: PoseDataset, skeleton: Skeleton, labels: Mapping[str, list[str]]
    ) -> "_Match":
        places = {name: place for place, name in enumerate(people.skeleton.names)}
        return cls(
            people=people,
            joints=np.array([places.get(name, -1) for name in skeleton.names], dtype=np.int64),
            unknown={name: -1 if classes else np.nan for name, classes in labels.items()},
            classes={
                name: [labels[name].index(one) for one in classes]
                for name, classes in people.labels.items()
                if classes
            },
        )

    def points(self, keypoints: Float32[np.ndarray, "J 2"]) -> Float32[np.ndarray, "K 2"]:
        # A joint at the end, which -1 picks.
        found: np.ndarray = np.concatenate((keypoints, np.zeros((1, 2), np.float32)))[self.joints]
        return found

    def flags(self, visibility: UInt8[np.ndarray, " J"]) -> UInt8[np.ndarray, " K"]:
        found: np.ndarray = np.append(visibility, np.uint8(0))[self.joints]
        return found

    def labels_of(self, labels: Mapping[str, int | float]) -> dict[str, int | float]:
        known = {
            name: self.classes[name][int(value)] if name in self.classes and value >= 0 else value
            for name, value in labels.items()
        }
        return {**self.unknown, **known}


def choose_skeleton(skeletons: Mapping[str, Skeleton], skeleton: Skeleton | None) -> Skeleton:
    """The joints of a mix, if its sets have some of them and names that can be used.

    Args:
        skeletons: The joints of each set by its name, which becomes part of the names of images and
            metrics.
        skeleton: The joints of the mix; None for those of the first set.

    Returns:
        The joints of the mix.

    Raises:
        ConfigError: There is no set, a name is not of letters, digits, "-" and "_", or is that of a
            joint, which metrics may have, or a set has joints but none of those of the mix.
    """
    if not skeletons:
        raise ConfigError("Expected at least one set to mix, found none; name some under sets.")
    skeleton = skeleton or next(iter(skeletons.values()))
    joints = set(skeleton.names)
    pairs = {name.removeprefix("left_").removeprefix("right_") for name in joints}
    for name, theirs in skeletons.items():
        if not re.fullmatch(r"[\w-]+", name) or name in joints | pairs:
            raise ConfigError(
                "Expected names of sets with letters, digits, '-' and '_' that are not those of "
                f"joints, found {name!r}; rename it under sets."
            )
        if theirs.names and not joints & set(theirs.names):
            raise ConfigError(
                f"Expected a set with some of the joints {', '.join(skeleton.names)}, found "
                f"{', '.join(theirs.names)} in {name}; choose another skeleton, or leave the set "
                "out."
            )
    return skeleton


def merge_labels(labels: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """The labels of all sets of a mix, with the classes of all sets in the order of the sets.

    Args:
        labels: The labels of each set by its name, with their classes; one without is a number.

    Returns:
        The labels of the mix, with their classes.

    Raises:
        ConfigError: A label has classes in one set and is a number in another.

    Example:
        >>> merge_labels({"a": {"sport": ["run", "swim"]}, "b": {"sport": ["swim", "row"]}})
        {'sport': ['run', 'swim', 'row']}
    """
    merged: dict[str, list[str]] = {}
    for theirs in labels.values():
        for name, classes in theirs.items():
            known = merged.setdefault(name, list(classes))
            if bool(known) != bool(classes):
                kinds = {n: list(one[name]) for n, one in labels.items() if name in one}
                raise ConfigError(
                    f"Expected the label {name!r} with classes in all sets or in none, found "
                    f"{kinds}; rename it in one of them."
                )
            known += [one for one in classes if one not in known]
    return merged


def _numbers(name: str, people: PoseDataset) -> Int64[np.ndarray, " N"]:
    """The numbers of the people of a set within it."""
    numbers = people.person_ids.astype(np.int64)
    if ((numbers < 0) | (numbers >= PEOPLE_PER_SET)).any():
        raise DataError(
            f"Expected person_ids from 0 to {PEOPLE_PER_SET - 1} in the set {name}, found "
            f"{numbers.min()} to {numbers.max()}; number its people anew, or, if it is a mix "
            "itself, mix its sets directly."
        )
    return numbers
