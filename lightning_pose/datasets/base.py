"""The dataset contract: annotations without pixels, and a reader of pixels."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Dataset

from lightning_pose.input_spec import BoxAround
from lightning_pose.sample import Annotation, Annotations, Pixels, Sample
from lightning_pose.skeletons import Skeleton

__all__ = ["PoseDataset"]


class PoseDataset(Dataset[Sample], ABC):
    """People, their annotations and their images.

    Annotations are separate from the pixels, so that splits, order and crops are decided before an
    image is decoded. The index base, inverted flags and sentinel values of the files are converted
    in the subclass and nowhere else.

    Attributes:
        skeleton: The joints of every person, in order.
        labels: Image-level labels by name, with the names of their classes; a label without classes
            is a number.
        boxes_around: What the boxes are tight around; `box_around` says it for one person.
        person_ids: The number of each person within the dataset, across splits.
        annotations: The table that `annotation` reads.
    """

    skeleton: Skeleton
    labels: dict[str, list[str]]
    boxes_around: BoxAround = "joints"
    person_ids: Int64[np.ndarray, " N"]
    annotations: Annotations

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self.person_ids)

    @property
    def image_ids(self) -> np.ndarray:
        """The name of each person's image as text, which people in the same image share."""
        names = self.annotations.image_id
        return np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names

    def annotation(self, index: int) -> Annotation:
        """The annotation of one person, without decoding the image.

        A dataset without a table overrides this and `image_ids`.

        Args:
            index: Index of the person, from 0 to N - 1.

        Returns:
            The annotation, with every coordinate in source pixels.
        """
        return self.annotations[index]

    def box_around(self, index: int) -> BoxAround:
        """What the box of one person is tight around; in a mix it depends on the person's set."""
        return self.boxes_around

    def files(self, index: int) -> tuple[Path, ...]:
        """The files that `read` opens for one person, by which a cache notices other images."""
        return ()

    @abstractmethod
    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of a person's source image, without decoding it."""

    @abstractmethod
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """Read the image and the mask of one person.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: How many source pixels one pixel of the crop spans along each side, rounded
                down. A decoder may return an image that is smaller by up to this factor, and
                records that in `Pixels.image_frame`.

        Returns:
            The pixels.

        Raises:
            DataError: A file cannot be read.
        """

    def __getitem__(self, index: int) -> Sample:
        """Read one person with the whole image.

        Args:
            index: Index of the person, from 0 to N - 1.

        Returns:
            The annotation, the image and the mask, all in source pixels.
        """
        annotation, pixels = self.annotation(index), self.read(index)
        mask = pixels.mask
        if mask is None:
            mask = np.full(pixels.image.shape[:2], -1, dtype=np.int8)
        return Sample(**vars(annotation), image=pixels.image, mask=mask)
