"""A folder of photographs with keypoints as OpenPose writes them, masks and image-level labels."""

from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.images import image_size, image_suffixes
from lightning_pose.datasets.label_table import LabelTable, read_label_table
from lightning_pose.datasets.masks import read_image_and_mask
from lightning_pose.datasets.measures import joint_boxes, segment_lengths
from lightning_pose.datasets.openpose import KEYPOINTS, openpose_joints, read_openpose
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.sample import Annotations, Pixels
from lightning_pose.skeletons import BODY25

__all__ = ["FolderDataset"]

_LAYOUT = "images/NAME.jpg with keypoints/NAME_keypoints.json"


class FolderDataset(PoseDataset):
    """Photographs of one person each, with keypoints as OpenPose writes them (Cao et al., 2019).

    The folder holds the images, OpenPose's output for them (`--write_json`), and optionally masks
    and image-level labels:

        root/images/NAME.jpg                   any format that `read_image` reads
        root/keypoints/NAME_keypoints.json     25 joints (BODY_25) of each person in the image
        root/masks/NAME.png                    0 background, 255 person; any mask may be missing
        root/labels.csv                        optional, see `read_label_table`

    Only images with exactly one person are kept. Images without keypoints and keypoints without an
    image are left out as well. Coordinates are pixels of the upright image, from 0; a joint of
    confidence 0 is unlabelled, any other is visible, even outside the image. The box encloses the
    labelled joints, and the torso runs from the right shoulder to the left hip. The size of the
    head and the area are unknown. The `person_id` is the place of the image among all images sorted
    by name, from 0, so that it depends on no setting.

    Args:
        root: The folder.
        min_joints: People with fewer labelled joints are left out. By default, everyone with a
            joint is kept, because many photographs show only a part of the person.

    Attributes:
        skipped: How many images, files of keypoints and rows of labels.csv were left out, by
            reason.

    Raises:
        ConfigError: There is no such folder, or `min_joints` is not from 0 to 25.
        DataError: No image has keypoints or none can be used, or files are damaged or do not fit
            together.
    """

    def __init__(self, root: str | Path, min_joints: int = 1) -> None:
        self.root = Path(root).expanduser()
        self.min_joints = min_joints
        if not 0 <= min_joints <= BODY25.num_joints:
            raise ConfigError(
                f"Expected min_joints from 0 to {BODY25.num_joints}, found {min_joints}; "
                "correct it."
            )
        self.skeleton = BODY25
        images = _find_images(self.root)
        table = read_label_table(self.root / "labels.csv")
        self.labels = table.classes
        places, joints, self.skipped = _read_keypoints(self.root, images, min_joints)
        names = list(images.values())
        _check_labels(table, names, self.root / "labels.csv")
        if rows := len(set(table.images) - set(names)):
            self.skipped["in labels.csv without an image"] = rows
        masks = _find_masks(self.root / "masks", images)
        self.masks = np.array([masks.get(stem, "") for stem in images])[places]
        self.annotations = _annotations(joints, places, names, table)
        self.person_ids = self.annotations.person_id

    @override
    def files(self, index: int) -> tuple[Path, ...]:
        image, mask = self._image(index), str(self.masks[index])
        return (image, self.root / "masks" / mask) if mask else (image,)

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
        return read_image_and_mask(*self.files(index), shrink=shrink)

    def _image(self, index: int) -> Path:
        return self.root / "images" / str(self.annotations.image_id[index])


def _annotations(
    joints: Float64[np.ndarray, "N 25 3"], places: list[int], names: list[str], table: LabelTable
) -> Annotations:
    """The table of people; joints with confidence 0 are unlabelled."""
    labelled = joints[:, :, 2] > 0
    keypoints = np.where(labelled[:, :, None], joints[:, :, :2], 0).astype(np.float32)
    visibility = np.where(labelled, 2, 0).astype(np.uint8)
    chosen = [names[place] for place in places]
    return Annotations(
        keypoints=keypoints,
        visibility=visibility,
        box=joint_boxes(keypoints, visibility),
        head_size=segment_lengths(keypoints, visibility, BODY25.head),
        torso_size=segment_lengths(keypoints, visibility, BODY25.torso),
        area=np.zeros(len(places), dtype=np.float32),
        person_id=np.array(places, dtype=np.int64),
        image_id=np.array(chosen),
        labels=table.of(chosen),
    )


def _files(folder: Path) -> list[str]:
    """The names of a folder's files, sorted, without hidden ones; empty if there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name[0] != "." and path.is_file())


def _find_images(root: Path) -> dict[str, str]:
    """The images by their names without suffix, which is how the other files refer to them."""
    if not root.is_dir():
        raise ConfigError(
            f"Expected a folder with {_LAYOUT} at {root}, found no such folder; correct the root."
        )
    images = root / "images"
    return _by_stem(
        images, [n for n in _files(images) if Path(n).suffix.lower() in image_suffixes()]
    )


def _find_masks(folder: Path, images: dict[str, str]) -> dict[str, str]:
    """The masks by the names of their images without suffix."""
    files = _files(folder)
    masks = _by_stem(folder, [n for n in files if Path(n).suffix.lower() == ".png"])
    masks = {stem: name for stem, name in masks.items() if stem in images}
    if files and not masks:
        raise DataError(
            f"Expected masks with the names of images, as {next(iter(images))}.png, in {folder}, "
            f"found no such name but {files[0]}; rename them, or remove the folder to train "
            "without masks."
        )
    return masks


def _by_stem(folder: Path, files: list[str]) -> dict[str, str]:
    """Files by their names without suffix, of which no two may be the same."""
    found: dict[str, str] = {}
    for name in files:
        other = found.setdefault(Path(name).stem, name)
        if other != name:
            raise DataError(
                f"Expected names in {folder} that differ without their suffixes, found {other} and "
                f"{name}; rename one of them, and what belongs to it."
            )
    return found


def _check_labels(table: LabelTable, names: list[str], path: Path) -> None:
    if table.images and not set(table.images) & set(names):
        raise DataError(
            f"Expected names of images such as {names[0]} in the column 'image' of {path}, found "
            f"none of the folder's, but {table.images[0]!r}; write them with their suffixes."
        )


def _read_keypoints(
    root: Path, images: dict[str, str], min_joints: int
) -> tuple[list[int], Float64[np.ndarray, "N 25 3"], dict[str, int]]:
    """The places of the images to use, their people's joints, and how many others were skipped."""
    folder = root / "keypoints"
    files = {name.removesuffix(KEYPOINTS) for name in _files(folder) if name.endswith(KEYPOINTS)}
    if not files & set(images):
        raise DataError(
            f"Expected {_LAYOUT} in {root}, found {len(images)} images and {len(files)} files of "
            "keypoints, of which no two have the same NAME; rename the files, or correct the root."
        )
    places, joints = [], []
    skipped = Counter({"without an image": len(files - set(images))})
    for place, stem in enumerate(images):
        if stem not in files:
            skipped["without keypoints"] += 1
            continue
        path = folder / f"{stem}{KEYPOINTS}"
        people = read_openpose(path)
        if len(people) != 1:
            skipped["with several people" if people else "with no person"] += 1
            continue
        person = openpose_joints(people[0], path)
        if np.count_nonzero(person[:, 2] > 0) < min_joints:
            skipped[f"with fewer than {min_joints} joints"] += 1
            continue
        places.append(place)
        joints.append(person)
    found = {reason: count for reason, count in skipped.items() if count}
    if not places:
        raise DataError(
            f"Expected images of one person with min_joints={min_joints} labelled joints or more "
            f"in {root}, found only "
            f"{', '.join(f'{count} {reason}' for reason, count in found.items())}; choose other "
            "images, or a smaller min_joints."
        )
    return places, np.stack(joints), found
