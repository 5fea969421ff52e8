"""Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011), optionally with masks."""

import zlib
from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Float32, UInt8
from scipy.io.matlab import MatReadError

from lightning_pose.batch import Sample
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.images import read_mask, read_picture
from lightning_pose.errors import InputError
from lightning_pose.geometry import picture_box
from lightning_pose.skeletons import LSP14

__all__ = ["LSPExtendedDataset"]


class LSPExtendedDataset(PoseDataset):
    """People of Leeds Sports Pose Extended, one a picture (Johnson and Everingham, 2011).

    The folder is laid out as published, plus an optional one of masks:

        root/joints.mat              'joints', (14, 3, N): x, y from 0, and 1 = visible
        root/images/im00001.jpg      N pictures, numbered from 1
        root/masks/im00001.png       0 background, 255 person; any of them may be missing

    Joints that are not visible have junk coordinates in the file; here they are unlabelled. The
    box is that of the visible joints, the head runs from the neck to the top of the head, the torso
    from the right shoulder to the left hip. The person's number is the picture's.

    Args:
        root: The folder.
        first: Number of the first picture to use, from 1.
        last: Number of the last picture to use.

    Raises:
        InputError: The folder, joints.mat or pictures are missing or do not fit together.
    """

    def __init__(self, root: str | Path, first: int, last: int) -> None:
        self.root = Path(root).expanduser()
        self.first = first
        self.last = last
        self.skeleton = LSP14
        keypoints, visibility = _read_joints(self.root)
        _check_pictures(self.root / "images", len(keypoints))
        if not 1 <= first <= last <= len(keypoints):
            raise InputError(
                f"Expected a range of pictures within 1 to {len(keypoints)}, which {self.root} "
                f"has, found {first} to {last}; choose the splits to fit the dataset."
            )
        self.person_ids = np.arange(first, last + 1, dtype=np.int64)
        self.keypoints = keypoints[first - 1 : last]
        self.visibility = visibility[first - 1 : last]
        masks = {path.name for path in (self.root / "masks").glob("im*.png")}
        if not masks and any((self.root / "masks").glob("*")):
            raise InputError(
                f"Expected masks such as im00001.png in {self.root / 'masks'}, found none of such "
                "a name; rename them, or remove the folder to train without masks."
            )
        self.has_mask = np.array([f"im{number:05d}.png" in masks for number in self.person_ids])

    def __getitem__(self, index: int) -> Sample:
        """Read one person's picture and, where there is one, mask.

        Args:
            index: Which, from 0 to N - 1.

        Returns:
            The person, with every coordinate in source pixels.

        Raises:
            InputError: The picture or the mask cannot be read, or they differ in size.
        """
        name = f"im{self.person_ids[index]:05d}"
        path = self.root / "images" / f"{name}.jpg"
        image = read_picture(path)
        size = (image.shape[0], image.shape[1])
        if self.has_mask[index]:
            mask = read_mask(self.root / "masks" / f"{name}.png", path, size)
            area = float(np.count_nonzero(mask))
        else:
            mask = np.full(size, -1, dtype=np.int8)
            area = 0.0
        keypoints, visibility = self.keypoints[index], self.visibility[index]
        visible = keypoints[visibility > 0]
        if len(visible) > 0:
            box = np.concatenate((visible.min(axis=0), visible.max(axis=0)))
        else:
            box = picture_box(size)
        return Sample(
            image=image,
            keypoints=keypoints,
            visibility=visibility,
            mask=mask,
            box=box,
            head_size=_segment(keypoints, visibility, self.skeleton.head),
            torso_size=_segment(keypoints, visibility, self.skeleton.torso),
            area=area,
            person_id=int(self.person_ids[index]),
            image_id=path.name,
        )


def _segment(
    keypoints: Float32[np.ndarray, "K 2"],
    visibility: UInt8[np.ndarray, " K"],
    ends: tuple[int, int] | None,
) -> float:
    """The distance between two joints, 0 where one of them is unlabelled."""
    if ends is None or not visibility[list(ends)].all():
        return 0.0
    return float(np.linalg.norm(keypoints[ends[0]] - keypoints[ends[1]]))


def _read_joints(
    root: Path,
) -> tuple[Float32[np.ndarray, "N 14 2"], UInt8[np.ndarray, "N 14"]]:
    """Read joints.mat and convert its conventions: junk to (0, 0), its flag to COCO's."""
    layout = "a folder with joints.mat and images/"
    if not root.is_dir():
        raise InputError(f"Expected {layout} at {root}, found no such folder; correct the root.")
    path = root / "joints.mat"
    if not path.is_file():
        raise InputError(
            f"Expected {layout} at {root}, found no joints.mat in it; put the file of Leeds Sports "
            "Pose Extended there, or correct the root."
        )
    try:
        content = scipy.io.loadmat(path, variable_names=["joints"])
    # SciPy reports a damaged file by whichever of these its parser runs into.
    except (
        MatReadError,
        ValueError,
        TypeError,
        OSError,
        NotImplementedError,  # MATLAB 7.3 files, which are HDF5.
        KeyError,
        zlib.error,
    ) as error:
        raise InputError(
            f"Expected a MATLAB file in {path}, found that it cannot be read ({error}); "
            "download it again."
        ) from error
    joints = content.get("joints")
    shape = None if joints is None else joints.shape
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (14, 3):
        raise InputError(
            f"Expected an array 'joints' of shape (14, 3, N) in {path}, found "
            f"{'none of that name' if shape is None else f'shape {shape}'}; use the file of Leeds "
            "Sports Pose Extended, not that of Leeds Sports Pose."
        )
    people = joints.transpose(2, 0, 1)
    visible = people[:, :, 2] == 1
    if not (visible | (people[:, :, 2] == 0)).all() or not np.isfinite(people[visible]).all():
        raise InputError(
            f"Expected finite coordinates of visible joints and flags of 0 and 1 in {path}, found "
            "others; use the file of Leeds Sports Pose Extended as published."
        )
    keypoints = np.where(visible[:, :, None], people[:, :, :2], 0).astype(np.float32)
    return keypoints, np.where(visible, 2, 0).astype(np.uint8)


def _check_pictures(folder: Path, count: int) -> None:
    """Refuse a folder whose pictures are not im00001.jpg to the one of the last annotation."""
    names = {path.name for path in folder.glob("im*.jpg")}
    missing = [name for n in range(count) if (name := f"im{n + 1:05d}.jpg") not in names]
    if missing or len(names) != count:
        example = f", for example no {missing[0]}" if missing else ""
        raise InputError(
            f"Expected one picture for each of the {count} annotations of joints.mat in {folder}, "
            f"found {len(names)} pictures{example}; make pictures and annotations agree."
        )
