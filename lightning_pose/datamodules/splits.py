"""Splits of a dataset that is published in one piece: by fractions, or by lists of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lightning_pose.datamodules.base import Split
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.subset import Subset
from lightning_pose.errors import ConfigError, DataError, MissingSplitError

__all__ = [
    "SPLITS",
    "Splits",
    "check_fractions",
    "choose_split",
    "draw_splits",
    "drop_leaks",
    "write_lists",
]

Splits = tuple[float, float, float] | Path
"""Fractions of the people for train, val and test, or a folder with train.txt, val.txt, test.txt.

Each file lists images by name, one per line; `lightning split` writes them.
"""

SPLITS: tuple[Split, ...] = ("train", "val", "test")
"""The names of the splits, in the order of fractions."""


def choose_split(people: PoseDataset, splits: Splits, split: str, seed: int) -> Subset:
    """Choose the people of one split; people in one image are never in different splits.

    Args:
        people: Everyone.
        splits: Fractions, or a folder of lists.
        split: "train", "val" or "test".
        seed: Seed of the order that fractions cut; not used for lists.

    Returns:
        The people of the split, in the order of the dataset.

    Raises:
        ConfigError: The fractions do not add up to 1.
        MissingSplitError: There is no such list.
        DataError: A list names an image that the dataset does not have.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> everyone = SyntheticDataset("train", length=10)
        >>> choose_split(everyone, (0.8, 0.1, 0.1), "val", seed=0).person_ids.tolist()
        [8]
    """
    images, image = np.unique(people.image_ids, return_inverse=True)
    if isinstance(splits, Path):
        chosen = _listed(images, splits.expanduser() / f"{split}.txt")
    else:
        chosen = draw_splits(np.bincount(image), splits, seed) == SPLITS.index(split)
    return Subset(people, np.flatnonzero(chosen[image]))


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions that divide nothing.

    Args:
        fractions: Those of train, val and test.

    Raises:
        ConfigError: They are negative or do not add up to 1.
    """
    # NaN is not above anything.
    if not (min(fractions) >= 0 and abs(sum(fractions) - 1) < 1e-6):
        raise ConfigError(
            "Expected fractions for train, val and test that add up to 1, found "
            f"{tuple(fractions)}; 0.8, 0.1 and 0.1 are usual."
        )


def draw_splits(
    counts: Int64[np.ndarray, " U"], fractions: Sequence[float], seed: int
) -> Int64[np.ndarray, " U"]:
    """Draw a split for each unit of people, such as an image, that must not be divided.

    Args:
        counts: The number of people in each unit.
        fractions: The fraction of the people for train, val and test.
        seed: Seed of the order that fractions cut.

    Returns:
        For each unit, the place of its split in `SPLITS`. Each split has its fraction of the
        people, up to one unit.

    Raises:
        ConfigError: The fractions do not add up to 1.

    Example:
        >>> draw_splits(np.array([1, 1, 2, 1]), (0.4, 0.6, 0.0), seed=0).tolist()
        [1, 1, 0, 1]
    """
    check_fractions(fractions)
    order = np.random.default_rng(seed).permutation(len(counts))
    # The middle of each unit on a scale of 0 to 1 decides, so that none is split.
    middle = (np.cumsum(counts[order]) - counts[order] / 2) / counts.sum()
    drawn = np.empty(len(counts), dtype=np.int64)
    drawn[order] = np.searchsorted(np.cumsum(fractions)[:2], middle, side="right")
    return drawn


def drop_leaks(
    parts: Int64[np.ndarray, " I"], groups: Int64[np.ndarray, " I"]
) -> Int64[np.ndarray, " I"]:
    """Leave out of each split the images with a near-duplicate in a later one.

    So test keeps all of its images, and what is measured on it stays comparable.

    Args:
        parts: For each image, the place of its split in `SPLITS`; -1 if it is in none.
        groups: The group of near-duplicates of each image, see `duplicate_groups`.

    Returns:
        The same with -1 for the images that are left out.

    Example:
        >>> drop_leaks(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 3, 3])).tolist()
        [-1, 0, 1, -1, 2]
    """
    last = np.full(len(groups), -1)
    np.maximum.at(last, groups, parts)
    return np.where(parts == last[groups], parts, -1)


def write_lists(folder: Path, images: np.ndarray, parts: Int64[np.ndarray, " I"]) -> None:
    """Write the lists of images that `choose_split` reads.

    Args:
        folder: A folder, which is made if there is none.
        images: The names of the images.
        parts: For each image, the place of its split in `SPLITS`; -1 if it is in none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part, split in enumerate(SPLITS):
        lines = "".join(f"{name}\n" for name in images[parts == part].tolist())
        (folder / f"{split}.txt").write_text(lines, encoding="utf-8", errors="surrogateescape")


def _listed(images: np.ndarray, path: Path) -> np.ndarray:
    if not path.is_file():
        raise MissingSplitError(
            f"Expected the names of the images of a split in {path}, found no such file; write one "
            "name per line."
        )
    # Names of files may be any bytes.
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    # Only at ends of lines: `splitlines` also cuts at other characters, which names may have.
    names = [name for line in text.split("\n") if (name := line.strip())]
    chosen = np.isin(images, names)
    if missing := sorted(set(names) - set(images[chosen].tolist())):
        raise DataError(
            f"Expected names of images in {path}, found {len(missing)} that the dataset does not "
            f"have, first {missing[0]!r}; correct the list."
        )
    return chosen
