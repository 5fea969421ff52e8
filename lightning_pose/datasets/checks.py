"""Checks of what a dataset gives: its people once, and each person as they are read."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import DataError, LeakError
from lightning_pose.sample import Annotation, Pixels
from lightning_pose.skeletons import Skeleton

__all__ = ["check_annotation", "check_disjoint", "check_form", "check_people", "check_pixels"]


def check_people(
    people: PoseDataset, skeleton: Skeleton, labels: Mapping[str, Sequence[str]]
) -> None:
    """Refuse a split that does not fit its data module, or whose people cannot be told apart.

    Args:
        people: The split.
        skeleton: The joints of the data module.
        labels: The image-level labels of the data module, with their classes.

    Raises:
        DataError: The joints or the labels differ, or `person_ids` are negative or not unique.
    """
    name = type(people).__name__
    if people.skeleton.names != skeleton.names:
        raise DataError(
            f"Expected the joints {', '.join(skeleton.names)} from {name}, found "
            f"{', '.join(people.skeleton.names)}; give the dataset and its data module one "
            "skeleton."
        )
    ours, theirs = ({n: list(c) for n, c in one.items()} for one in (labels, people.labels))
    if ours != theirs:
        raise DataError(
            f"Expected the labels {ours} from {name}, found {theirs}; give the "
            "dataset and its data module the same labels."
        )
    if len(np.unique(people.person_ids)) < len(people) or (people.person_ids < 0).any():
        raise DataError(
            f"Expected person_ids of {name} that are 0 or more and differ, found negative or equal "
            "ones; number each person of the dataset once."
        )


def check_disjoint(people: PoseDataset, others: PoseDataset, split: str, other: str) -> None:
    """Refuse two splits that share people.

    Args:
        people: One split.
        others: The other split.
        split: The name of the first.
        other: The name of the second.

    Raises:
        LeakError: A person is in both.
    """
    shared = np.intersect1d(people.person_ids, others.person_ids)
    if len(shared):
        raise LeakError(
            f"Expected no person in both the {other} and the {split} split, found {len(shared)}, "
            f"first person {shared[0]}; choose splits that do not overlap."
        )


def check_form(annotation: Annotation, people: PoseDataset) -> None:
    """Refuse labels that are not those that the dataset says.

    Args:
        annotation: The labels of one person.
        people: The dataset that they are from.

    Raises:
        DataError: The number of joints or the names of the labels differ from the dataset's.
    """
    joints = people.skeleton.num_joints
    shapes = annotation.keypoints.shape, annotation.visibility.shape
    if shapes != ((joints, 2), (joints,)):
        raise _error(
            annotation,
            f"keypoints of shape {(joints, 2)} and visibility of shape {(joints,)}",
            f"{shapes[0]} and {shapes[1]}",
        )
    if annotation.labels.keys() != people.labels.keys():
        raise _error(annotation, f"the labels {list(people.labels)}", str(list(annotation.labels)))


def check_annotation(annotation: Annotation, people: PoseDataset) -> None:
    """Refuse labels that no training should see.

    Args:
        annotation: The labels of one person.
        people: The dataset that they are from.

    Raises:
        DataError: The form is not that of the dataset, see `check_form`, a coordinate is not
            finite, a visibility is not 0, 1 or 2, or the box is not finite or not ordered.
    """
    check_form(annotation, people)
    if not np.isfinite(annotation.keypoints).all():
        raise _error(
            annotation, "finite keypoints", "NaN or infinity; unlabelled joints are (0, 0)"
        )
    flags = annotation.visibility
    # `np.isin`, made for many values, takes several times as long.
    if not ((flags == 0) | (flags == 1) | (flags == 2)).all():
        raise _error(annotation, "visibility 0, 1 or 2", str(flags.tolist()))
    x0, y0, x1, y1 = (float(value) for value in annotation.box)
    if not (-np.inf < x0 <= x1 < np.inf and -np.inf < y0 <= y1 < np.inf):
        raise _error(
            annotation, "a box x0, y0, x1, y1 with x0 < x1 and y0 < y1", str([x0, y0, x1, y1])
        )


def check_pixels(pixels: Pixels, annotation: Annotation) -> None:
    """Refuse an image or a mask in another form than the network was made for.

    Args:
        pixels: The image and the mask of a person.
        annotation: The labels of that person.

    Raises:
        DataError: The image is not RGB from 0 to 255, or the mask is not -1, 0 and 1.
    """
    image, mask = pixels.image, pixels.mask
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} of shape {image.shape}"
        raise _error(annotation, "an RGB image as uint8 (H, W, 3)", found)
    # Most images are bright somewhere in a few rows. A black one is no mistake.
    if image[::16].max(initial=0) <= 1 and image.max(initial=0) == 1:
        raise _error(annotation, "an image with values from 0 to 255", "only 0 and 1")
    if mask is not None and (mask.dtype != np.int8 or mask.ndim != 2):
        found = f"{mask.dtype} of shape {mask.shape}"
        raise _error(annotation, "a mask as int8 (H, W)", found)
    if mask is not None and (mask.max(initial=0) > 1 or mask.min(initial=0) < -1):
        found = f"{mask.min()} to {mask.max()}"
        raise _error(annotation, "a mask of 1 person, 0 background and -1 unknown", found)


def _error(annotation: Annotation, expected: str, found: str) -> DataError:
    return DataError(
        f"Expected {expected} for person {annotation.person_id} in {annotation.image_id!r}, found "
        f"{found}; correct the annotations, or the dataset that reads them."
    )
