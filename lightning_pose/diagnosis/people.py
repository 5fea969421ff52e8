"""Everyone in a split as one table, read through the dataset as training reads them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int64

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.checks import check_annotation, check_form
from lightning_pose.datasets.measures import joint_boxes
from lightning_pose.errors import DataError
from lightning_pose.sample import Annotations

__all__ = ["People", "Track", "count_people", "percent", "read_people", "worst"]

Track = Callable[[Sequence[int], str], Iterable[int]]
"""Yields the items of a sequence, and shows the progress under a description."""

_SUSPECTS = 200


@dataclass(frozen=True)
class People:
    """The labels of everyone in a split, or in one set of a split of a mix.

    Attributes:
        split: "train", "val" or "test".
        name: The split, and in a mix also the set, such as "train/lsp".
        dataset: Where they come from.
        table: Their labels; a joint that is not finite counts as unlabelled here.
        sizes: Height and width of each person's image, 0 where they cannot be read.
        failures: Why training cannot use a person, by the person's index.
    """

    split: str
    name: str
    dataset: PoseDataset
    table: Annotations
    sizes: Int64[np.ndarray, "N 2"]
    failures: dict[int, str]

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self.table)

    @cached_property
    def labelled(self) -> Bool[np.ndarray, "N K"]:
        """Which joints are labelled, whether they are visible or not."""
        found: np.ndarray = self.table.visibility > 0
        return found

    @cached_property
    def at_placeholder(self) -> Bool[np.ndarray, "N K"]:
        """Which joints are where files put joints that are not labelled: (0, 0) or (-1, -1)."""
        x, y = np.moveaxis(self.table.keypoints, 2, 0)
        found: np.ndarray = (x == y) & ((x == 0) | (x == -1))
        return found

    @cached_property
    def joint_boxes(self) -> Float32[np.ndarray, "N 4"]:
        """(x0, y0, x1, y1) around the labelled joints of each person, whatever the dataset says."""
        return joint_boxes(self.table.keypoints, self.table.visibility)

    @cached_property
    def extent(self) -> Float32[np.ndarray, " N"]:
        """The longer side of `joint_boxes` in pixels, and 1 for a person without two joints."""
        sides = self.joint_boxes[:, 2:] - self.joint_boxes[:, :2]
        longest: np.ndarray = sides.max(axis=1)
        found: np.ndarray = np.maximum(longest, np.float32(1))
        return found

    def places(self, *names: str) -> list[int] | None:
        """The indices of joints by their names; None if the skeleton lacks one of them."""
        known = self.dataset.skeleton.names
        return [known.index(name) for name in names] if set(names) <= set(known) else None


def read_people(split: str, name: str, dataset: PoseDataset, track: Track) -> People:
    """Read everyone's labels, and the sizes of the images from their headers.

    Args:
        split: "train", "val" or "test".
        name: What the people are called in the report.
        dataset: The people.
        track: Shows the progress.

    Returns:
        The table. A person whom the dataset or the crop refuses is in `failures`, and as far as it
        can be read also in the table.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> people = read_people("val", "val", SyntheticDataset("val", 2), lambda items, _: items)
        >>> people.sizes.tolist(), people.labelled.all().item(), people.failures
        ([[160, 160], [160, 160]], True, {})
    """
    count, joints = len(dataset), dataset.skeleton.num_joints
    table = Annotations(
        keypoints=np.zeros((count, joints, 2), dtype=np.float32),
        visibility=np.zeros((count, joints), dtype=np.uint8),
        box=np.zeros((count, 4), dtype=np.float32),
        head_size=np.zeros(count),
        torso_size=np.zeros(count),
        area=np.zeros(count),
        person_id=np.asarray(dataset.person_ids),
        image_id=dataset.image_ids,
    )
    sizes = np.zeros((count, 2), dtype=np.int64)
    failures: dict[int, str] = {}
    for index in track(range(count), f"Labels of {name}"):
        try:
            annotation = dataset.annotation(index)
            check_form(annotation, dataset)
            finite = np.isfinite(annotation.keypoints).all(axis=1)
            table.keypoints[index] = np.where(finite[:, None], annotation.keypoints, 0)
            table.visibility[index] = np.where(finite, annotation.visibility, 0)
            table.box[index] = annotation.box
            table.head_size[index] = annotation.head_size
            table.torso_size[index] = annotation.torso_size
            table.area[index] = annotation.area
            check_annotation(annotation, dataset)
            sizes[index] = dataset.image_size(index)
        except DataError as error:
            failures[index] = str(error)
    return People(split, name, dataset, table, sizes, failures)


def worst(scores: np.ndarray, suspected: np.ndarray) -> tuple[int, ...]:
    """The suspected people in falling order of a score, at most 200 of them.

    Args:
        scores: One number per person.
        suspected: Whether each person is suspected.

    Returns:
        Their indices.

    Example:
        >>> worst(np.array([1, 5, 3, 4]), np.array([True, True, True, False]))
        (1, 2, 0)
    """
    chosen = np.flatnonzero(suspected)
    order = np.argsort(-scores[chosen], kind="stable")
    return tuple(chosen[order][:_SUSPECTS].tolist())


def count_people(number: int) -> str:
    """A number of people in words.

    Example:
        >>> count_people(1), count_people(2)
        ('1 person', '2 people')
    """
    return f"{number} {'person' if number == 1 else 'people'}"


def percent(share: float) -> str:
    """A share in words, with more digits where it is small.

    Example:
        >>> percent(0.5), percent(0.0123), percent(0.00012), percent(0.00001)
        ('50 %', '1.2 %', '0.01 %', 'under 0.01 %')
    """
    if 0 < share < 0.0001:
        return "under 0.01 %"
    digits = 0 if share >= 0.1 else 1 if share >= 0.01 else 2
    return f"{100 * share:.{digits}f} %"
