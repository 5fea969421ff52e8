"""Splits of a dataset that is published in one piece: by fractions, or by lists of images."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.subset import Subset
from lightning_pose.errors import ConfigError, DataError

__all__ = ["Splits", "choose_split"]

Splits = tuple[float, float, float] | Path
"""Fractions of the people for train, val and test, or a folder with train.txt, val.txt, test.txt.

Each file lists images by name, one per line.
"""

_NAMES = ("train", "val", "test")


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
        ConfigError: The fractions do not add up to 1, or there is no such list.
        DataError: A list names an image that the dataset does not have.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> everyone = SyntheticDataset("train", length=10)
        >>> choose_split(everyone, (0.8, 0.1, 0.1), "val", seed=0).person_ids.tolist()
        [8]
    """
    images, image = np.unique(people.image_ids, return_inverse=True)
    if isinstance(splits, Path):
        chosen = _listed(images, splits / f"{split}.txt")
    else:
        chosen = _drawn(np.bincount(image), splits, _NAMES.index(split), seed)
    return Subset(people, np.flatnonzero(chosen[image]))


def _drawn(
    counts: Int64[np.ndarray, " I"], fractions: tuple[float, float, float], part: int, seed: int
) -> np.ndarray:
    """Which images are in a part that has its fraction of the people, up to one image."""
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"Expected fractions for train, val and test that add up to 1, found {fractions}; "
            "0.8, 0.1 and 0.1 are usual."
        )
    order = np.random.default_rng(seed).permutation(len(counts))
    # The middle of each image on a scale of 0 to 1 decides, so that none is split.
    middle = (np.cumsum(counts[order]) - counts[order] / 2) / counts.sum()
    edges = np.cumsum(fractions)[:2]
    chosen = np.zeros(len(counts), dtype=bool)
    chosen[order] = np.searchsorted(edges, middle, side="right") == part
    return chosen


def _listed(images: np.ndarray, path: Path) -> np.ndarray:
    if not path.is_file():
        raise ConfigError(
            f"Expected the names of the images of a split in {path}, found no such file; write one "
            "name per line."
        )
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    names = [name for name in names if name]
    chosen = np.isin(images, names)
    if missing := sorted(set(names) - set(images[chosen].tolist())):
        raise DataError(
            f"Expected names of images in {path}, found {len(missing)} that the dataset does not "
            f"have, first {missing[0]!r}; correct the list."
        )
    return chosen
