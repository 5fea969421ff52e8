"""MPII Human Pose (Andriluka, Pishchulin, Gehler and Schiele, CVPR 2014)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.images import image_size, read_image
from lightning_pose.datasets.measures import segment_lengths
from lightning_pose.datasets.mpii_lists import MPIIPerson, read_ground_truth, read_list
from lightning_pose.datasets.mpii_release import ACTIVITIES, read_release
from lightning_pose.errors import ConfigError, DataError, MissingSplitError
from lightning_pose.input_spec import BoxAround
from lightning_pose.sample import Annotations, Pixels
from lightning_pose.skeletons import MPII16

__all__ = ["MPIIDataset"]

_LISTS = {"train": "train.json", "val": "valid.json"}
_RELEASE = "mpii_human_pose_v1_u12_1.mat"
_GROUND_TRUTH = "gt_valid.mat"

# The head size is 0.6 diagonals of the head box, and the ends of the head are 0.8 apart: to within
# 0.1 % for 94 % of the validation people. With it, the published predictions get a PCKh of 88.70 in
# place of 88.64; with the distance itself, 92.02.
_HEAD_PER_SEGMENT = 0.75


class MPIIDataset(PoseDataset):
    """People of MPII Human Pose, perhaps several per image (Andriluka et al., CVPR 2014).

    The folder has the images and one of two forms of annotations, or both:

        root/images/005808361.jpg           the published images; those of the split must be there
        root/train.json, root/valid.json    the community's split of the people with joints
        root/gt_valid.mat                   optional: what the official evaluation compares with
        root/mpii_human_pose_v1_u12_1.mat   the published annotations

    The JSON lists, which Microsoft's Simple Baselines (Xiao et al., ECCV 2018) brought into use,
    have neither occlusion flags nor activities, so every labelled joint has visibility 2. The
    published file has both; joints for which it has no flag, such as the
    ends of the head, have visibility 2. Joints of the test images are not public. Coordinates in
    all files count from 1; here they count from 0.

    The box is a square around the whole person: its side is 200 pixels times the file's scale, and
    its centre lies 15 pixels times the scale below the file's. The crop that papers use is 1.25
    times as large: that is `InputSpec(enlarge=1.475)`, because `enlarge` counts from boxes around
    the joints, which are 1.18 times smaller.

    The head size is MPII's, 0.6 times the diagonal of the head box. Where there are no head boxes,
    it is 0.75 times the distance from the neck to the top of the head, which is nearly the same,
    because MPII derives these two points from the head box. With gt_valid.mat, validation people
    have its joints too: 13 of them differ from valid.json, and published tables use them. The torso
    runs from the right shoulder to the left hip; area and masks are unknown.

    The label "activity" is the category of what people do in the image (`cat_name`, 20 classes),
    not the activity itself (`act_name`): 410 of them in 25,000 images are about 60 images for each,
    too few to learn. The `person_id` is 1000 times the number of the image plus that of the person
    among those of the image in the file, from 0.

    Args:
        root: The folder.
        split: "train" or "val" for the people of train.json or valid.json; None for everyone in the
            published file.

    Raises:
        ConfigError: There is no such folder.
        MissingSplitError: There is no such split.
        DataError: Files are missing, damaged or do not fit together.
    """

    boxes_around: BoxAround = "silhouette"

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        self.root = Path(root).expanduser()
        self.split = split
        self.skeleton = MPII16
        self.labels = {"activity": list(ACTIVITIES)}
        if split not in (None, *_LISTS):
            raise MissingSplitError(
                f"Expected the split 'train' or 'val' of MPII, found {split!r}; the joints of its "
                "test images are not public, so validate instead."
            )
        path = _find(self.root, _RELEASE if split is None else _LISTS[split])
        self.annotations = _annotations(read_release(path) if split is None else read_list(path))
        self.person_ids = self.annotations.person_id
        _check_images(self.root / "images", self.annotations.image_id, path)
        truth = self.root / _GROUND_TRUTH
        if split == "val" and truth.is_file():
            _take_ground_truth(self.annotations, truth)

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        return (self._image(index),)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return image_size(self._image(index))

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """Read one person's image; there are no masks.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: How much smaller the image may be, see `read_image`.

        Returns:
            The pixels.

        Raises:
            DataError: The image cannot be read.
        """
        image, frame = read_image(self._image(index), shrink)
        return Pixels(image=image, image_frame=frame)

    def _image(self, index: int) -> Path:
        return self.root / "images" / str(self.annotations.image_id[index])


def _find(root: Path, name: str) -> Path:
    """The annotation file, or why it cannot be used."""
    if not root.is_dir():
        raise ConfigError(
            f"Expected a folder with {name} and images/ at {root}, found no such folder; correct "
            "the root, or set data.download to get the images from their official address."
        )
    path = root / name
    if not path.is_file():
        raise DataError(
            f"Expected {name} in {root}, found no such file; put it there, or change data.splits: "
            f"null reads train.json and valid.json, and fractions or lists split {_RELEASE}."
        )
    return path


def _annotations(people: Sequence[MPIIPerson]) -> Annotations:
    keypoints = np.stack([person.keypoints for person in people]).astype(np.float32)
    visibility = np.stack([person.visibility for person in people])
    segments = segment_lengths(keypoints, visibility, MPII16.head)
    head_size = np.array([person.head_size for person in people], dtype=np.float32)
    scale = np.array([[person.scale] for person in people])
    centre = np.stack([person.centre for person in people]) + scale * (0, 15)
    image_id = np.array([person.image for person in people])
    classes = {"": -1} | {name: number for number, name in enumerate(ACTIVITIES)}
    activity = np.array([classes[person.activity] for person in people], dtype=np.int64)
    return Annotations(
        keypoints=keypoints,
        visibility=visibility,
        box=np.concatenate((centre - 100 * scale, centre + 100 * scale), axis=1).astype(np.float32),
        head_size=np.where(head_size > 0, head_size, _HEAD_PER_SEGMENT * segments),
        torso_size=segment_lengths(keypoints, visibility, MPII16.torso),
        area=np.zeros(len(people), dtype=np.float32),
        person_id=_person_ids(image_id),
        image_id=image_id,
        labels={"activity": activity},
    )


def _person_ids(image_id: np.ndarray) -> Int64[np.ndarray, " N"]:
    """Numbers from the names of the images, and the order of the people within each."""
    names, image, counts = np.unique(image_id, return_inverse=True, return_counts=True)
    within = np.empty(len(image_id), dtype=np.int64)
    first = np.cumsum(counts) - counts
    within[np.argsort(image, kind="stable")] = np.arange(len(image_id)) - np.repeat(first, counts)
    numbers = np.array([int(name[:9]) for name in names], dtype=np.int64)
    return numbers[image] * 1000 + within


def _check_images(folder: Path, image_id: np.ndarray, annotations: Path) -> None:
    """Refuse a folder without some of the images: figures on the rest could not be compared."""
    names = set(image_id.tolist())
    missing = names - {path.name for path in folder.glob("*.jpg")}
    if missing:
        raise DataError(
            f"Expected the {len(names)} images of {annotations.name} in {folder}, found "
            f"{len(missing)} of them missing, first {min(missing)}; put all of MPII's images there."
        )


def _take_ground_truth(table: Annotations, path: Path) -> None:
    """Replace joints and head sizes by those of the official evaluation."""
    keypoints, head_size = read_ground_truth(path, table.visibility > 0)
    table.keypoints = keypoints.astype(np.float32)
    table.head_size = head_size.astype(np.float32)
    table.torso_size = segment_lengths(table.keypoints, table.visibility, MPII16.torso)
