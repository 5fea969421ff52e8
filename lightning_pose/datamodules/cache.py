"""A cache of what training shows of each image, so that no image is decoded again."""

import hashlib
import math
import os
import shutil
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock
from jaxtyping import Float32, Int8, Int64, UInt8
from pytorch_lightning.utilities import rank_zero_info
from typing_extensions import override

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.checks import check_pixels
from lightning_pose.datasets.workers import in_workers
from lightning_pose.geometry import crop_matrix, image_box
from lightning_pose.input_spec import BoxAround
from lightning_pose.sample import Annotation, Pixels
from lightning_pose.transforms import PersonCrop, warp_image, warp_mask

__all__ = ["CachedDataset"]

# Part of what a cache is named after: another number for another layout or other pixels.
_VERSION = 2

# An image is stored smaller only if that saves much; otherwise its pixels are kept as they are.
_WORTH_SHRINKING = 0.75

# How many people are compared with their images before a cache is used.
_COMPARED = 32
_MOST_TOUCHED = 1000

# An image and a mask.
_MOST_FILES = 2


class _Patch(NamedTuple):
    """What can be shown of one person's image."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Int8[np.ndarray, "h w"] | None
    frame: Float32[np.ndarray, "2 3"]
    image_size: tuple[int, int]


class CachedDataset(PoseDataset):
    """People whose pixels are read from a cache of what the crops of a training can show.

    For each person, the cache has the part of the image that `PersonCrop` can show with any
    rotation, scale, shift and noise of the box, as bytes that are mapped into memory. It is at most
    as fine as the largest of these crops, and never finer than the image. A mask is stored in the
    same way.

    The folder of a cache is named after the people, their boxes, the number of bytes of each file
    and the settings of the crop, so that other people, files or settings make another cache beside
    it, and two versions of a dataset can be trained on at once. It is written under another name
    and renamed when it is whole; of several processes, one writes and the others wait.

    Each time it is opened, some people are compared with their images and masks, and the cache is
    rebuilt if any of them differs: 32 people spread over the set, and up to 1,000 of those whose
    files have another time of modification. (Copying a dataset changes all times, but no image.)

    Other changes go unnoticed, such as those of masks in an annotation file or of images that a
    dataset of one's own does not name in `files`: remove the folder then.

    Args:
        people: The people.
        crop: The crop that will read them.
        folder: Where caches are kept, one folder each.
        num_workers: Processes that read images to write the cache; 0 reads in this one.

    Raises:
        DataError: An image cannot be read.
        OSError: The cache cannot be written, for example for lack of space.
    """

    def __init__(
        self, people: PoseDataset, crop: PersonCrop, folder: str | Path, num_workers: int = 0
    ) -> None:
        self.people = people
        self.skeleton, self.labels = people.skeleton, people.labels
        self.boxes_around = people.boxes_around
        self.person_ids = people.person_ids
        # Before they are read, so that a later change is noticed.
        files = _describe_files(people)
        self.folder = Path(folder).expanduser() / _name(people, crop, files[:, :, 0])
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_suffix(".lock")):
            if self.folder.is_dir() and not self._agrees(crop, files):
                rank_zero_info(f"Found other images than in {self.folder}: caching them again.")
                shutil.rmtree(self.folder)
                for name in _STORED:
                    vars(self).pop(name, None)
            if not self.folder.is_dir():
                _write(people, crop, files, self.folder, num_workers)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the mapped files, which a worker opens itself instead of copying them."""
        return {name: value for name, value in vars(self).items() if name not in _STORED}

    @cached_property
    def _table(self) -> dict[str, np.ndarray]:
        # numpy does not close a path whose content it refuses.
        with (self.folder / "people.npz").open("rb") as file, np.load(file) as table:
            return dict(table)

    @cached_property
    def _images(self) -> UInt8[np.ndarray, " bytes"]:
        return np.memmap(self.folder / "images.bin", np.uint8, "r")

    @cached_property
    def _masks(self) -> Int8[np.ndarray, " bytes"]:
        return np.memmap(self.folder / "masks.bin", np.int8, "r")

    @property
    @override
    def image_ids(self) -> np.ndarray:
        return self.people.image_ids

    @override
    def annotation(self, index: int) -> Annotation:
        return self.people.annotation(index)

    @override
    def box_around(self, index: int) -> BoxAround:
        return self.people.box_around(index)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        height, width = self._table["image_size"][index].tolist()
        return height, width

    @override
    def read(self, index: int, shrink: int = 1) -> Pixels:
        """Read what can be shown of one person's image.

        Args:
            index: Index of the person, from 0 to N - 1.
            shrink: Not used, since the image is as small already as the largest crop allows.

        Returns:
            The pixels.
        """
        table = self._table
        height, width = table["shape"][index].tolist()
        (image, mask), frame = table["start"][index].tolist(), table["frame"][index]
        pixels = np.asarray(self._images[image : image + height * width * 3])
        known = None
        if mask >= 0:
            known = np.asarray(self._masks[mask : mask + height * width]).reshape(height, width)
        return Pixels(
            image=pixels.reshape(height, width, 3),
            mask=known,
            image_frame=frame,
            mask_frame=None if known is None else frame,
        )

    def _agrees(self, crop: PersonCrop, files: Int64[np.ndarray, "N F 2"]) -> bool:
        """Whether people look as they do in their images."""
        try:
            touched = np.flatnonzero((self._table["files"] != files).any(axis=(1, 2)))
        except _DAMAGE:
            return False
        compared = (_spread(np.arange(len(self)), _COMPARED), _spread(touched, _MOST_TOUCHED))
        for index in np.unique(np.concatenate(compared)).tolist():
            now = _patch(self.people, crop, index)
            try:
                stored, size = self.read(index), self.image_size(index)
            except _DAMAGE:
                return False
            if size != now.image_size or not np.array_equal(now.image, stored.image):
                return False
            unknown = np.full((1, 1), -1, dtype=np.int8)
            ours, theirs = (unknown if m is None else m for m in (now.mask, stored.mask))
            if not np.array_equal(ours, theirs):
                return False
        return True


_STORED = ("_table", "_images", "_masks")

# What reading a damaged cache raises.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, IndexError, BadZipFile)


def _spread(indices: Int64[np.ndarray, " N"], most: int) -> Int64[np.ndarray, " C"]:
    """All indices, or some of them in equal steps."""
    if len(indices) <= most:
        return indices
    chosen: np.ndarray = indices[np.linspace(0, len(indices) - 1, most).astype(int)]
    return chosen


def _describe_files(people: PoseDataset) -> Int64[np.ndarray, "N F 2"]:
    """Bytes and time of modification in nanoseconds of each person's files; -1 without."""
    described = np.full((len(people), _MOST_FILES, 2), -1, dtype=np.int64)
    for index in range(len(people)):
        for place, path in enumerate(people.files(index)[:_MOST_FILES]):
            try:
                found = path.stat()
            except OSError:
                continue  # Reading it says why.
            described[index, place] = found.st_size, found.st_mtime_ns
    return described


def _name(people: PoseDataset, crop: PersonCrop, sizes: Int64[np.ndarray, "N F"]) -> str:
    """A name that other people, other boxes, files of other sizes or another crop do not have."""
    settings = (crop.input_spec, crop.rotation, crop.scale, crop.shift, crop.box_jitter)
    digest = hashlib.sha256(repr((_VERSION, settings)).encode())
    digest.update(sizes.tobytes())
    for index in range(len(people)):
        person = people.annotation(index)
        seen = (person.person_id, person.image_id, person.box.tolist(), people.box_around(index))
        digest.update(repr(seen).encode())
    return digest.hexdigest()[:16]


def _write(
    people: PoseDataset,
    crop: PersonCrop,
    files: Int64[np.ndarray, "N F 2"],
    folder: Path,
    num_workers: int,
) -> None:
    """Write the cache of all people, under another name until it is whole."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # Of a process that was killed.
    part.mkdir()
    shapes, starts, frames, sizes = [], [], [], []
    try:
        with (part / "images.bin").open("wb") as images, (part / "masks.bin").open("wb") as masks:
            patches = in_workers(partial(_patch, people, crop), len(people), num_workers, "Caching")
            for image, mask, frame, size in patches:
                shapes.append(image.shape[:2])
                starts.append((images.tell(), -1 if mask is None else masks.tell()))
                frames.append(frame)
                sizes.append(size)
                images.write(image.tobytes())
                masks.write(b"" if mask is None else mask.tobytes())
            if not masks.tell():
                masks.write(b"\0")  # An empty file cannot be mapped.
            for file in (images, masks):
                file.flush()
                os.fsync(file.fileno())
            written = images.tell() + masks.tell()
        np.savez(
            part / "people.npz",
            shape=shapes,
            start=starts,
            frame=frames,
            image_size=sizes,
            files=files,
        )
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    rank_zero_info(
        f"Cached the images of {len(people)} people: {written / 1e6:.0f} MB in {folder}."
    )


def _patch(people: PoseDataset, crop: PersonCrop, index: int) -> _Patch:
    """What can be shown of one person."""
    box, zoom = crop.reach(people, index)
    pixels = people.read(index, shrink=max(1, int(1 / zoom)))
    check_pixels(pixels, people.annotation(index))
    if pixels.image_frame is None:
        height, width = pixels.image.shape[:2]
    else:
        height, width = people.image_size(index)
    # Whole pixels within the image; at least one, which is not shown, if the box is beyond it.
    x0, y0 = (
        min(max(math.floor(low), 0), side - 1)
        for low, side in zip(box[:2].tolist(), (width, height), strict=True)
    )
    x1, y1 = (
        min(max(math.ceil(high) + 1, low + 1), side)
        for high, low, side in zip(box[2:].tolist(), (x0, y0), (width, height), strict=True)
    )
    zoom = 1.0 if zoom > _WORTH_SHRINKING else zoom
    size = (math.ceil((y1 - y0) * zoom), math.ceil((x1 - x0) * zoom))
    shown = image_box((y1 - y0, x1 - x0)) + np.array((x0, y0, x0, y0), np.float32)
    frame = crop_matrix(shown, size, enlarge=1.0, fit="stretch")
    image = warp_image(pixels.image, frame, size, crop.input_spec.interpolation, pixels.image_frame)
    known = pixels.mask is not None and pixels.mask.max(initial=-1) >= 0
    mask = warp_mask(pixels.mask, frame, size, pixels.mask_frame) if known else None
    return _Patch(image, mask, frame, (height, width))
