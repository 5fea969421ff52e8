"""People with joints and masks in COCO's format (Lin et al., ECCV 2014), of COCO or one's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.coco_file import COCOPeople, read_people
from lightning_pose.datasets.images import image_size, read_image
from lightning_pose.datasets.measures import segment_lengths
from lightning_pose.errors import DataError
from lightning_pose.input_spec import BoxAround
from lightning_pose.sample import Annotations, Pixels
from lightning_pose.skeletons import COCO17, Skeleton

__all__ = ["COCODataset"]


class COCODataset(PoseDataset):
    """People of an annotation file in COCO's format (Lin et al., ECCV 2014).

    Joints and limbs are those of the category in the file; for COCO's people they are `COCO17`.
    Names become snake_case. A flip swaps the joints whose names start with "left_" and "right_";
    with names that say the sides in another way, only training without flips (`flip: 0`) is right.

    COCO has two kinds of coordinates (https://cocodataset.org/#format-data). A joint is at a pixel,
    whose index counts from 0, and is used as it is. Boxes and polygons are positions between 0, the
    left edge of the first pixel, and the width, the right edge of the last: half a pixel is
    subtracted from boxes, and polygons are drawn accordingly. The flags are those of this package.

    The mask is that of the visible part of this person: other people, also those in a crowd, are
    background, because COCO outlines each person completely. It is unknown where the file has no
    `segmentation`. The torso is the distance from the right shoulder to the left hip, and the head
    that from the neck to the top of the head, 0 (unknown) without these joints, as for COCO's
    heads. The `person_id` is the annotation's `id`.

    The constructor reads the whole file, which takes about five times its size in memory for a
    moment, and keeps arrays.

    Args:
        file: The annotation file, such as annotations/person_keypoints_val2017.json.
        images: The folder of the images, such as val2017.
        category: The name of the category of the people.
        min_joints: Fewest labelled joints per person; 0 also keeps people who have only a mask.
        first_id: What is added to each `id`, where several files are numbered from the same one.

    Raises:
        ConfigError: There is no such file, or no such category in it.
        DataError: Files are missing, damaged or do not fit together.
    """

    boxes_around: BoxAround = "silhouette"

    def __init__(
        self,
        file: str | Path,
        images: str | Path,
        category: str = "person",
        min_joints: int = 1,
        first_id: int = 0,
    ) -> None:
        self.file, self.images = Path(file).expanduser(), Path(images).expanduser()
        self.category = category
        self.min_joints = min_joints
        self.first_id = first_id
        people = read_people(self.file, category, min_joints)
        self.skeleton = _skeleton(people.joints, people.limbs)
        self.labels: dict[str, list[str]] = {}
        self.annotations = _annotations(people, self.skeleton, first_id)
        self.person_ids = self.annotations.person_id
        self.masks = people.masks
        self.image_sizes = people.image_sizes
        _check_images(self.images, np.unique(people.image_names))

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        return (self._image(index),)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        height, width = self.image_sizes[index].tolist()
        return height, width

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """Read one person's image and, if there is one, the mask.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: How much smaller the image may be, see `read_image`; the mask is never smaller.

        Returns:
            The pixels.

        Raises:
            DataError: The image cannot be read, or has another size than in the annotation file.
        """
        path = self._image(index)
        image, frame = read_image(path, shrink)
        size = (image.shape[0], image.shape[1]) if frame is None else image_size(path)
        expected = self.image_size(index)
        if size != expected:
            raise DataError(
                f"Expected the size that {self.file} says for the image {path}, {expected[1]} x "
                f"{expected[0]} pixels, found {size[1]} x {size[0]}; use the image that was "
                "annotated, upright if it has an EXIF orientation."
            )
        return Pixels(image=image, mask=self.masks.read(index, size), image_frame=frame)

    def _image(self, index: int) -> Path:
        name: bytes = self.annotations.image_id[index]
        return self.images / name.decode()


def _skeleton(names: tuple[str, ...], limbs: tuple[tuple[int, int], ...]) -> Skeleton:
    """The joints of the file, whose limbs count them from 1."""
    if names == COCO17.names:
        return COCO17

    def ends(*segment: str) -> Sequence[str] | None:
        return segment if set(segment) <= set(names) else None

    return Skeleton.from_names(
        names,
        limbs=[(names[first - 1], names[second - 1]) for first, second in limbs],
        head=ends("neck", "head_top"),
        torso=ends("right_shoulder", "left_hip"),
    )


def _annotations(people: COCOPeople, skeleton: Skeleton, first_id: int) -> Annotations:
    """The table of all people in the conventions of this package."""
    visibility = people.keypoints[:, :, 2].astype(np.uint8)
    # Some tools leave coordinates at unlabelled joints.
    points = np.where(visibility[:, :, None] > 0, people.keypoints[:, :, :2], 0).astype(np.float32)
    corner, extent = people.boxes[:, :2], people.boxes[:, 2:]
    boxes = np.concatenate((corner, corner + extent), axis=1) - 0.5
    return Annotations(
        keypoints=points,
        visibility=visibility,
        box=boxes.astype(np.float32),
        head_size=segment_lengths(points, visibility, skeleton.head),
        torso_size=segment_lengths(points, visibility, skeleton.torso),
        area=people.areas.astype(np.float32),
        person_id=people.ids + first_id,
        image_id=people.image_names,
    )


def _check_images(folder: Path, names: np.ndarray) -> None:
    """Refuse a folder without some of the images, which is listed instead of asked for each."""
    listed: dict[Path, set[str]] = {}
    missing = []
    for name in names.tolist():
        path = folder / name.decode()
        if path.parent not in listed:
            listed[path.parent] = _list(path.parent)
        if path.name not in listed[path.parent]:
            missing.append(path)
    if missing:
        raise DataError(
            f"Expected the images of the annotation file in {folder}, found {len(missing)} of "
            f"{len(names)} missing, first {missing[0]}; correct the folder, or restore them."
        )


def _list(folder: Path) -> set[str]:
    """The names in a folder, none if it cannot be read."""
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
