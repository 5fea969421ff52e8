"""How large the input is for each person, where it follows from the image or the box."""

import numpy as np
from jaxtyping import Int64

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import DataError
from lightning_pose.input_spec import InputSpec

__all__ = ["input_sizes"]


def input_sizes(
    people: PoseDataset, spec: InputSpec, skip: bool = False
) -> Int64[np.ndarray, "N 2"]:
    """Height and width of each person's input in pixels, as `Buckets` takes them.

    They follow from the boxes, or from the image headers where whole images are shown.

    Args:
        people: The people.
        spec: The input.
        skip: Skip people whose images cannot be read; their inputs are black and have the nominal
            size.

    Raises:
        DataError: An image cannot be read, and nobody is skipped.
    """
    sizes = []
    for index in range(len(people)):
        try:
            box = None if spec.subject == "image" else people.annotation(index).crop_box
            size = spec.input_size(box, people.image_size(index) if box is None else None)
        except DataError:
            if not skip:
                raise
            size = spec.nominal_size
        sizes.append(size)
    return np.array(sizes, dtype=np.int64)
