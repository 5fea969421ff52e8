"""Near-duplicates: images of one photograph at another scale or quality, or mirrored."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing.pool import ThreadPool

import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt64
from rich.console import Console
from rich.progress import Progress
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.errors import DataError

__all__ = ["ImageHashes", "duplicate_groups", "hash_images", "image_hash"]

_FREQUENCIES = 16
_WORDS = _FREQUENCIES**2 // 64

_LIMIT = 56
"""Most bits of 256 in which near-duplicates differ; different photographs differ in about 123.

Of the 43 million pairs of the first 9,250 images of Leeds Sports Pose Extended, 30 differ in 0 to
31 bits, all of them copies at another scale, in other colours or cut off a little; 11 in 41 to 56,
all of them the same scene from the same place; and the first two images that have nothing to do
with each other in 70. Of 8,500 drawn people, the closest two differ in 65. An image is found after
2 % of each of its sides were cut off, but not after 6 % of one side were.
"""

_ENOUGH = 64
"""Pixels of the shorter side from which an image is hashed: four per half wave of the finest."""

_BLOCK = 256
"""Images that are compared with as many others at a time; their distances fit into the cache."""


@dataclass(frozen=True)
class ImageHashes:
    """One hash per image of a dataset.

    Attributes:
        image_ids: The names of I images as text, sorted.
        hashes: The 256 bits of `image_hash` of each.
    """

    image_ids: np.ndarray
    hashes: UInt64[np.ndarray, "I 4"]


def hash_images(
    people: PoseDataset, progress: bool = False, unreadable: dict[int, str] | None = None
) -> ImageHashes:
    """Hash each image of a dataset once, however many people it shows.

    Images are decoded at a reduced scale where their format allows it. Those of Leeds Sports Pose
    Extended take about 2 ms each, with their masks.

    Args:
        people: The people; one person of each image is read.
        progress: Show a progress bar if this is a terminal.
        unreadable: Filled with why an image or its mask cannot be read, by the index of the person,
            and these images are left out; by default they are refused.

    Returns:
        The hashes, whatever the order of the people.

    Raises:
        DataError: An image or a mask cannot be read, and `unreadable` is not given.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> hashes = hash_images(SyntheticDataset("train", length=3))
        >>> hashes.image_ids.tolist()[:2], hashes.hashes.shape
        (['synthetic/train/000000000', 'synthetic/train/000000001'], (3, 4))
    """
    names, first = np.unique(people.image_ids, return_index=True)
    console = Console(stderr=True)
    hashes = np.empty((len(names), _WORDS), dtype=np.uint64)
    known = np.ones(len(names), dtype=np.bool_)
    with Progress(console=console, disable=not (progress and console.is_terminal)) as bar:
        for place, index in enumerate(bar.track(first.tolist(), description="Images")):
            try:
                shrink = max(1, min(people.image_size(index)) // _ENOUGH)
                hashes[place] = image_hash(people.read(index, shrink).image)
            except DataError as error:
                if unreadable is None:
                    raise
                unreadable[index], known[place] = str(error), False
    return ImageHashes(names[known], hashes[known])


def image_hash(image: UInt8[np.ndarray, "H W 3"]) -> UInt64[np.ndarray, " 4"]:
    """The signs of the lowest cosine frequencies of an image: a perceptual hash of 256 bits.

    It is that of pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010), with 16 x 16 instead of 8 x 8 frequencies and zero instead of the median as
    the threshold. Low frequencies survive scaling and compression, and signs do not change with
    brightness and contrast. Mirroring an image only inverts the bits of odd horizontal frequencies.
    Frequencies are measured in half waves per side, so that an image needs not be scaled first.

    Args:
        image: The RGB image; its shorter side should have 64 pixels or more.

    Returns:
        128 bits that mirroring keeps, in two words, and 128 that it inverts.

    Example:
        >>> image = np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)
        >>> mirrored = image_hash(image) ^ image_hash(image[:, ::-1])
        >>> np.bitwise_count(mirrored).tolist()
        [0, 0, 64, 64]
    """
    # The weights of ITU-R BT.601, as in JPEG.
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    height, width = grey.shape
    waves = _cosines(height) @ grey @ _cosines(width).T
    kept, inverted = waves[:, ::2] > 0, waves[:, 1::2] > 0
    bits: UInt8[np.ndarray, " N"] = np.packbits(np.concatenate((kept.ravel(), inverted.ravel())))
    return bits.view(np.uint64)


def duplicate_groups(hashes: ImageHashes) -> Int64[np.ndarray, " I"]:
    """Group the images that are near-duplicates of each other, directly or through others.

    Every image is compared with every other, at about 0.15 billion pairs per second and core:
    10,000 images take less than a second. Memory is needed for the images only, not for their
    pairs.

    Args:
        hashes: The hashes of I images.

    Returns:
        The group of each image: the index of the first image in it, which is the image's own where
        it has no near-duplicate.

    Example:
        >>> bits = np.array([[0, 0, 0, 0], [-1, -1, 0, 0], [1, 0, 0, 0]]).view(np.uint64)
        >>> names = np.array(["a.jpg", "b.jpg", "c.jpg"])
        >>> duplicate_groups(ImageHashes(names, bits)).tolist()
        [0, 1, 0]
    """
    words = np.ascontiguousarray(hashes.hashes.T)
    groups = np.arange(words.shape[1])
    with ThreadPool(os.cpu_count()) as pool:
        for left, right in pool.imap(partial(_near, words), _blocks(words.shape[1])):
            groups = _join(groups, left, right)
    return groups


@lru_cache(maxsize=512)
def _cosines(length: int) -> Float32[np.ndarray, "16 L"]:
    """The cosine waves of the discrete cosine transform over some pixels (type 2)."""
    centres = (np.arange(length) + 0.5) / length
    waves = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), centres))
    return waves.astype(np.float32)


def _blocks(count: int) -> Iterator[tuple[slice, slice]]:
    """Ranges of images, so that every pair of images is in one pair of ranges."""
    starts = range(0, count, _BLOCK)
    for first in starts:
        for second in range(first, count, _BLOCK):
            yield slice(first, first + _BLOCK), slice(second, second + _BLOCK)


def _near(
    words: UInt64[np.ndarray, "4 I"], block: tuple[slice, slice]
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """The pairs of different images in a block that are near-duplicates."""
    left, right = (words[:, part] for part in block)
    bits = [
        np.bitwise_count(ours[:, None] ^ theirs) for ours, theirs in zip(left, right, strict=True)
    ]
    inverted = bits[2] + bits[3]
    distance = bits[0] + bits[1] + np.minimum(inverted, 128 - inverted)
    # Several times as fast as `nonzero` in two dimensions.
    rows, columns = np.divmod(np.flatnonzero(distance <= _LIMIT), distance.shape[1])
    rows, columns = rows + block[0].start, columns + block[1].start
    different = rows < columns
    return rows[different], columns[different]


def _join(
    groups: Int64[np.ndarray, " I"], left: Int64[np.ndarray, " P"], right: Int64[np.ndarray, " P"]
) -> Int64[np.ndarray, " I"]:
    """Join the groups of pairs of images; each group is named after its first image."""
    ends = np.stack((groups[left], groups[right]))
    ends = ends[:, ends[0] != ends[1]]
    if not ends.size:
        return groups
    names, places = np.unique(ends, return_inverse=True)
    links = coo_array((np.ones(ends.shape[1]), places.reshape(2, -1)), shape=(len(names),) * 2)
    _, part = connected_components(links, directed=False)
    # The names are sorted, so the first of each part is its smallest.
    _, first = np.unique(part, return_index=True)
    renamed = np.arange(len(groups))
    renamed[names] = names[first[part]]
    joined: Int64[np.ndarray, " I"] = renamed[groups]
    return joined
