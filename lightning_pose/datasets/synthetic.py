"""Synthetic people as a dataset: nothing to download, with exact joints and masks."""

import numpy as np
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import ConfigError
from lightning_pose.sample import Annotation, Pixels
from lightning_pose.skeletons import LSP14
from lightning_pose.synthetic import DrawnPerson, draw_person

__all__ = ["SyntheticDataset"]

_SPLITS = ("train", "val", "test")
_PEOPLE_PER_SPLIT = 10**9
_SIZES = (64, 1024)


class SyntheticDataset(PoseDataset):
    """Articulated, clothed people drawn on the fly, with exact joints and masks.

    A person depends only on its number: the same index of the same split gives the same image in
    every process and in any order, and no two splits share a person. Each image shows one labelled
    person in a pose from standing to upside down, seen from any side; left and right are the
    person's own. Objects and other people may stand in front: a joint under them has visibility 1,
    and their pixels are not in the mask. A joint that is hidden by the person's own body counts as
    visible.

    Args:
        split: Which people: "train", "val" or "test".
        length: Number of people.
        size: Height and width of an image in pixels. At the default, the usual crop of 128 pixels
            shows people at about the size at which they are drawn.

    Raises:
        ConfigError: There is no such split, the length is not from 1 to 10**9, or the size is not
            from 64 to 1024.

    Example:
        >>> people = SyntheticDataset("val", length=100)
        >>> sample = people[99]
        >>> sample.image.shape, sample.keypoints.shape, sample.image_id
        ((160, 160, 3), (14, 2), 'synthetic/val/000000099')
    """

    def __init__(self, split: str, length: int, size: int = 160) -> None:
        if split not in _SPLITS:
            raise ConfigError(f"Expected split to be one of {_SPLITS}, found {split!r}; name one.")
        if not 1 <= length <= _PEOPLE_PER_SPLIT:
            raise ConfigError(
                f"Expected a length from 1 to {_PEOPLE_PER_SPLIT}, found {length}; "
                "correct the length."
            )
        if not _SIZES[0] <= size <= _SIZES[1]:
            raise ConfigError(
                f"Expected a size from {_SIZES[0]} to {_SIZES[1]} pixels, found {size}; "
                "choose another."
            )
        self.split, self.length, self.size = split, length, size
        self.skeleton = LSP14
        self.labels: dict[str, list[str]] = {}
        self.person_ids = np.arange(length, dtype=np.int64)
        self.person_ids += _SPLITS.index(split) * _PEOPLE_PER_SPLIT
        self._last: tuple[int, DrawnPerson] | None = None

    @property
    @override
    def image_ids(self) -> np.ndarray:
        return np.array([self._image_id(index) for index in range(self.length)])

    def _image_id(self, index: int) -> str:
        return f"synthetic/{self.split}/{index:09d}"

    @override
    def annotation(self, index: int) -> Annotation:
        """Draw one person and return the annotation.

        Args:
            index: Index of the person, from 0 to N - 1.

        Returns:
            The annotation; its box is tight around the joints, and all of them are labelled.

        Raises:
            IndexError: There is no such person.
        """
        person = self._drawn(index)
        keypoints = person.joints.copy()
        columns, rows = np.rint(keypoints).astype(np.int64).T
        neck, head_top = keypoints[list(LSP14.head or ())]
        shoulder, hip = keypoints[list(LSP14.torso or ())]
        return Annotation(
            keypoints=keypoints,
            visibility=(1 + person.mask[rows, columns]).astype(np.uint8),
            box=np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)]),
            head_size=float(np.hypot(*(neck - head_top))),
            torso_size=float(np.hypot(*(shoulder - hip))),
            area=float(person.mask.sum()),
            labels={},
            person_id=int(self.person_ids[index]),
            image_id=self._image_id(index),
        )

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return self.size, self.size

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """The drawing of one person, always at full size.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: Not used.

        Returns:
            The image and the mask.

        Raises:
            IndexError: There is no such person.
        """
        person = self._drawn(index)
        return Pixels(image=person.image.copy(), mask=person.mask.copy())

    def _drawn(self, index: int) -> DrawnPerson:
        """The drawing, kept until the next one, because annotation and pixels need the same one."""
        if not 0 <= index < self.length:
            raise IndexError(f"Expected an index from 0 to {self.length - 1}, found {index}.")
        if self._last is None or self._last[0] != index:
            self._last = (index, draw_person(int(self.person_ids[index]), self.size))
        return self._last[1]
