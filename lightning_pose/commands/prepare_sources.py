"""The files that `lightning prepare` labels: images, and what OpenPose has found in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_pose.errors import ConfigError, DataError

if TYPE_CHECKING:
    from lightning_pose.teachers import OpenPoseTeacher

__all__ = ["checksums", "find_images", "with_keypoints"]


def find_images(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the images, and of all other files but hidden ones, sorted.

    Raises:
        ConfigError: There is no such folder.
        DataError: It has no images, or a name that not every system can use.
    """
    from lightning_pose.datasets.coco_file import is_below
    from lightning_pose.datasets.images import image_suffixes

    if not folder.is_dir():
        raise ConfigError(f"Expected a folder of images at {folder}, found none; correct --images.")
    files = sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file())
    names = [path.name for path in files if path.suffix.lower() in image_suffixes()]
    others = [path.name for path in files if path.suffix.lower() not in image_suffixes()]
    if not names:
        raise DataError(
            f"Expected images in the folder {folder}, found none; give the folder that holds the "
            "files themselves."
        )
    for name in names:
        if not is_below(name):
            raise DataError(
                f"Expected names of images that every system can use, found {name!r} in {folder}; "
                "rename it."
            )
    return names, others


def with_keypoints(
    sources: Mapping[str, Sequence[Path]], teacher: "OpenPoseTeacher"
) -> tuple[dict[str, list[Path]], list[str]]:
    """Add to each image the file that OpenPose wrote for it.

    Args:
        sources: The file of each image, by its name.
        teacher: Knows the names of OpenPose's files.

    Returns:
        The files of the images that have one, and the names of the others.

    Raises:
        DataError: No image has one, or two images have the same.
    """
    kept: dict[str, list[Path]] = {}
    owners: dict[Path, str] = {}
    for name, files in sources.items():
        keypoints = teacher.file(name)
        if not keypoints.is_file():
            continue
        other = owners.setdefault(keypoints, name)
        if other != name:
            raise DataError(
                f"Expected a file of keypoints for each image, found {keypoints.name} for both "
                f"{other!r} and {name!r}; rename one of them, and run OpenPose again."
            )
        kept[name] = [*files, keypoints]
    missing = [name for name in sources if name not in kept]
    if not kept:
        raise DataError(
            f"Expected files such as {teacher.file(missing[0]).name} in {teacher.folder}, found "
            "none with the name of an image; correct --openpose."
        )
    return kept, missing


def checksums(files: Sequence[Path]) -> dict[str, str]:
    """The checksum of each file, by its name; "" of one that cannot be read."""
    from lightning_pose.commands.labels_folder import checksum

    found = {}
    for path in files:
        try:
            found[path.name] = checksum(path)
        except OSError:
            found[path.name] = ""  # Labelling the image says why.
    return found
