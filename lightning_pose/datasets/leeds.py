"""What Leeds Sports Pose and its extension share: joints.mat, and images and masks by number."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.images import image_size
from lightning_pose.datasets.masks import read_image_and_mask
from lightning_pose.datasets.matlab import read_mat
from lightning_pose.datasets.measures import FARTHEST, joint_boxes, segment_lengths
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.sample import Annotations, Pixels
from lightning_pose.skeletons import LSP14

__all__ = ["LeedsDataset", "check_joints", "read_joints"]


class LeedsDataset(PoseDataset):
    """People of Leeds Sports Pose or of its extension, one per image.

    `LSPDataset` and `LSPExtendedDataset` say what their files have, and read them.

    Args:
        root: The folder.
        first: Number of the first image to use, from 1.
        last: Number of the last image to use; by default the last one there is.

    Attributes:
        digits: The number of digits in the name of an image.

    Raises:
        ConfigError: There is no such folder, or it has no images with these numbers.
        DataError: Files are missing, damaged or do not fit together.
    """

    digits: ClassVar[int]

    def __init__(self, root: str | Path, first: int = 1, last: int | None = None) -> None:
        self.root = Path(root).expanduser()
        self.skeleton = LSP14
        self.labels: dict[str, list[str]] = {}
        keypoints, visibility = self.read_people()
        self.first = first
        self.last = len(keypoints) if last is None else last
        self.images = _NumberedImages(self.root, self.digits, len(keypoints))
        self.annotations = _people_in_range(self.images, keypoints, visibility, first, self.last)
        self.person_ids = self.annotations.person_id
        self.has_mask = self.images.has_mask[first - 1 : self.last]

    @abstractmethod
    def read_people(self) -> tuple[Float32[np.ndarray, "N 14 2"], UInt8[np.ndarray, "N 14"]]:
        """Read joints.mat and convert its conventions: pixels from 0, and COCO's flags."""

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        return self.images.files(int(self.person_ids[index]))

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return self.images.size(int(self.person_ids[index]))

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        return self.images.read(int(self.person_ids[index]), shrink)


class _NumberedImages:
    """The files images/im00001.jpg to the last, and masks/im00001.png, any of which may be missing.

    Args:
        root: The folder with images/, and perhaps masks/.
        digits: The number of digits in a name.
        count: The number of the last image.

    Attributes:
        has_mask: Whether there is a mask for each image, the first being that of number 1.

    Raises:
        DataError: An image is missing or superfluous, or no mask has such a name.
    """

    has_mask: Bool[np.ndarray, " N"]

    def __init__(self, root: Path, digits: int, count: int) -> None:
        self.root = root
        self.images, self.masks = root / "images", root / "masks"
        self.digits = digits
        stems = [self._stem(number) for number in range(1, count + 1)]
        _check_images(self.images, [f"{stem}.jpg" for stem in stems])
        masks = {path.name for path in self.masks.glob("im*.png")}
        self.has_mask = np.array([f"{stem}.png" in masks for stem in stems])
        if not self.has_mask.any() and any(self.masks.glob("*")):
            raise DataError(
                f"Expected masks such as {self._stem(1)}.png in {self.masks}, found no such "
                "name; rename them, or remove the folder to train without masks."
            )

    def name(self, number: int) -> str:
        """The name of an image, from number 1."""
        return f"{self._stem(number)}.jpg"

    def files(self, number: int) -> tuple[Path, ...]:
        """The image and, if there is one, its mask, from number 1."""
        image = self._image(number)
        return (image, self._mask(number)) if self.has_mask[number - 1] else (image,)

    def size(self, number: int) -> tuple[int, int]:
        """Height and width of an image, read from its header.

        Raises:
            DataError: The image cannot be read.
        """
        return image_size(self._image(number))

    def read(self, number: int, shrink: int) -> Pixels:
        """Read an image and, if there is one, its mask.

        Args:
            number: The number of the image, from 1.
            shrink: How much smaller the image may be, see `read_image`; the mask is never smaller.

        Returns:
            The pixels.

        Raises:
            DataError: The image or the mask cannot be read, or they differ in size.
        """
        return read_image_and_mask(*self.files(number), shrink=shrink)

    def _stem(self, number: int) -> str:
        return f"im{number:0{self.digits}d}"

    def _image(self, number: int) -> Path:
        return self.images / self.name(number)

    def _mask(self, number: int) -> Path:
        return self.masks / f"{self._stem(number)}.png"


def _check_images(folder: Path, expected: list[str]) -> None:
    names = {path.name for path in folder.glob("im*.jpg")}
    missing = [name for name in expected if name not in names]
    if missing or len(names) != len(expected):
        example = f", with {missing[0]} missing" if missing else ""
        raise DataError(
            f"Expected one image for each of the {len(expected)} annotations of joints.mat in "
            f"{folder}, found {len(names)} images{example}; restore the files of the published "
            "dataset."
        )


def read_joints(root: Path, sides: tuple[int, int], name: str, otherwise: str) -> np.ndarray:
    """Read the array of joints.mat.

    Args:
        root: The folder of the dataset.
        sides: The first two sides of the array, 14 joints and 3 numbers for each, in either order.
        name: The name of the dataset, for messages.
        otherwise: What to use for a file of another shape, for messages.

    Returns:
        The array; its third side is the number of people.

    Raises:
        ConfigError: There is no such folder.
        DataError: The file is missing or damaged, or has no such array.
    """
    layout = "a folder with joints.mat and images/"
    if not root.is_dir():
        raise ConfigError(
            f"Expected {layout} at {root}, found no such folder; correct the root, or set "
            f"data.download to get {name} from its official address."
        )
    path = root / "joints.mat"
    if not path.is_file():
        raise DataError(
            f"Expected {layout} at {root}, found no joints.mat in it; put the file of {name} "
            "there, correct the root, or set data.download."
        )
    joints = read_mat(path, ["joints"]).get("joints")
    found = "no such name"
    if isinstance(joints, np.ndarray):
        found = f"shape {joints.shape} of {joints.dtype}"
        if joints.ndim == 3 and joints.shape[:2] == sides and joints.dtype.kind in "iuf":
            return joints
    raise DataError(
        f"Expected numbers 'joints' of shape ({sides[0]}, {sides[1]}, N) in {path}, found {found}; "
        f"use the file of {name}, or {otherwise}."
    )


def check_joints(
    root: Path,
    points: Float64[np.ndarray, "N 14 2"],
    flags: Float64[np.ndarray, "N 14"],
    labelled: Bool[np.ndarray, "N 14"],
    name: str,
) -> None:
    """Refuse coordinates that are not in any image, and flags that are neither 0 nor 1.

    Args:
        root: The folder of the dataset, for messages.
        points: (x, y) as they are in the file.
        flags: The third number of each joint.
        labelled: Which joints have coordinates.
        name: The name of the dataset, for messages.

    Raises:
        DataError: There are such coordinates or flags; the message names the first person.
    """
    # NaN is not below anything.
    right = ((np.abs(points) < FARTHEST).all(axis=2) | ~labelled) & np.isin(flags, (0, 1))
    if not right.all():
        person, joint = (int(place) for place in np.argwhere(~right)[0])
        found = [*points[person, joint].tolist(), flags[person, joint].item()]
        raise DataError(
            f"Expected coordinates in pixels and flags of 0 and 1 in {root / 'joints.mat'}, found "
            f"{found} for joint {joint + 1} of person {person + 1}; use the file of {name} as "
            "published."
        )


def _people_in_range(
    images: _NumberedImages,
    keypoints: Float32[np.ndarray, "N 14 2"],
    visibility: UInt8[np.ndarray, "N 14"],
    first: int,
    last: int,
) -> Annotations:
    """The table of the people in a range of images, with what follows from the joints."""
    if not 1 <= first <= last <= len(keypoints):
        raise ConfigError(
            f"Expected a range of images within 1 to {len(keypoints)}, which {images.root} "
            f"has, found {first} to {last}; choose the splits to fit the dataset."
        )
    people = slice(first - 1, last)
    keypoints, visibility = keypoints[people], visibility[people]
    numbers = np.arange(first, last + 1, dtype=np.int64)
    return Annotations(
        keypoints=keypoints,
        visibility=visibility,
        box=joint_boxes(keypoints, visibility),
        head_size=segment_lengths(keypoints, visibility, LSP14.head),
        torso_size=segment_lengths(keypoints, visibility, LSP14.torso),
        area=np.zeros(len(keypoints), dtype=np.float32),
        person_id=numbers,
        image_id=np.array([images.name(number) for number in numbers.tolist()]),
    )
