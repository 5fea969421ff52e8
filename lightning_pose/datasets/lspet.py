"""Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011), optionally with masks."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.images import image_size, read_image, read_mask
from lightning_pose.datasets.matlab import read_mat
from lightning_pose.datasets.measures import joint_boxes, segment_lengths
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.sample import Annotations, Pixels
from lightning_pose.skeletons import LSP14

__all__ = ["LSPExtendedDataset"]


class LSPExtendedDataset(PoseDataset):
    """People of Leeds Sports Pose Extended, one per image (Johnson and Everingham, 2011).

    The folder is laid out as published, plus optional masks:

        root/joints.mat              'joints', (14, 3, N): x, y from 0, and 1 = visible
        root/images/im00001.jpg      N images, numbered from 1
        root/masks/im00001.png       0 background, 255 person; any mask may be missing

    Joints that are not visible have junk coordinates in the file; here they are unlabelled. The box
    encloses the visible joints, the head runs from the neck to the top of the head, and the torso
    from the right shoulder to the left hip. The area is unknown. The `person_id` is the number of
    the image.

    Args:
        root: The folder.
        first: Number of the first image to use, from 1.
        last: Number of the last image to use.

    Raises:
        ConfigError: There is no such folder, or it has no images with these numbers.
        DataError: Files are missing, damaged or do not fit together.
    """

    def __init__(self, root: str | Path, first: int, last: int) -> None:
        self.root = Path(root).expanduser()
        self.first = first
        self.last = last
        self.skeleton = LSP14
        self.labels: dict[str, list[str]] = {}
        keypoints, visibility = _read_joints(self.root)
        _check_images(self.root / "images", len(keypoints))
        if not 1 <= first <= last <= len(keypoints):
            raise ConfigError(
                f"Expected a range of images within 1 to {len(keypoints)}, which {self.root} "
                f"has, found {first} to {last}; choose the splits to fit the dataset."
            )
        people = slice(first - 1, last)
        self.annotations = _annotations(keypoints[people], visibility[people], first)
        self.person_ids = self.annotations.person_id
        masks = {path.name for path in (self.root / "masks").glob("im*.png")}
        if not masks and any((self.root / "masks").glob("*")):
            raise DataError(
                f"Expected masks such as im00001.png in {self.root / 'masks'}, found no such name; "
                "rename them, or remove the folder to train without masks."
            )
        self.has_mask = np.array([f"im{number:05d}.png" in masks for number in self.person_ids])

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return image_size(self._image(index))

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """Read one person's image and, if there is one, the mask.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: How much smaller the image may be, see `read_image`; the mask is never smaller.

        Returns:
            The pixels.

        Raises:
            DataError: The image or the mask cannot be read, or they differ in size.
        """
        path = self._image(index)
        image, frame = read_image(path, shrink)
        if not self.has_mask[index]:
            return Pixels(image=image, image_frame=frame)
        size = (image.shape[0], image.shape[1]) if frame is None else image_size(path)
        mask = read_mask(self.root / "masks" / f"{path.stem}.png", path, size)
        return Pixels(image=image, mask=mask, image_frame=frame)

    def _image(self, index: int) -> Path:
        return self.root / "images" / f"im{self.person_ids[index]:05d}.jpg"


def _annotations(
    keypoints: Float32[np.ndarray, "N 14 2"], visibility: UInt8[np.ndarray, "N 14"], first: int
) -> Annotations:
    """The table of people whose images are numbered from `first`."""
    numbers = np.arange(first, first + len(keypoints), dtype=np.int64)
    return Annotations(
        keypoints=keypoints,
        visibility=visibility,
        box=joint_boxes(keypoints, visibility),
        head_size=segment_lengths(keypoints, visibility, LSP14.head),
        torso_size=segment_lengths(keypoints, visibility, LSP14.torso),
        area=np.zeros(len(keypoints), dtype=np.float32),
        person_id=numbers,
        image_id=np.array([f"im{number:05d}.jpg" for number in numbers]),
    )


def _read_joints(
    root: Path,
) -> tuple[Float32[np.ndarray, "N 14 2"], UInt8[np.ndarray, "N 14"]]:
    """Read joints.mat and convert its conventions: junk to (0, 0), its flag to COCO's."""
    layout = "a folder with joints.mat and images/"
    if not root.is_dir():
        raise ConfigError(f"Expected {layout} at {root}, found no such folder; correct the root.")
    path = root / "joints.mat"
    if not path.is_file():
        raise DataError(
            f"Expected {layout} at {root}, found no joints.mat in it; put the file of Leeds Sports "
            "Pose Extended there, or correct the root."
        )
    joints = read_mat(path, ["joints"]).get("joints")
    shape = None if joints is None else joints.shape
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (14, 3):
        raise DataError(
            f"Expected an array 'joints' of shape (14, 3, N) in {path}, found "
            f"{'no such name' if shape is None else f'shape {shape}'}; use the file of Leeds "
            "Sports Pose Extended, not that of Leeds Sports Pose."
        )
    people = joints.transpose(2, 0, 1)
    visible = people[:, :, 2] == 1
    if not (visible | (people[:, :, 2] == 0)).all() or not np.isfinite(people[visible]).all():
        raise DataError(
            f"Expected finite coordinates of visible joints and flags of 0 and 1 in {path}, found "
            "others; use the file of Leeds Sports Pose Extended as published."
        )
    keypoints = np.where(visible[:, :, None], people[:, :, :2], 0).astype(np.float32)
    return keypoints, np.where(visible, 2, 0).astype(np.uint8)


def _check_images(folder: Path, count: int) -> None:
    """Refuse a folder whose images do not run from im00001.jpg to that of the last annotation."""
    names = {path.name for path in folder.glob("im*.jpg")}
    missing = [name for n in range(count) if (name := f"im{n + 1:05d}.jpg") not in names]
    if missing or len(names) != count:
        example = f", with {missing[0]} missing" if missing else ""
        raise DataError(
            f"Expected one image for each of the {count} annotations of joints.mat in {folder}, "
            f"found {len(names)} images{example}; restore the files of the published dataset."
        )
