"""The output of `lightning split`: the lists of the splits, and the near-duplicates to look at."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from lightning_pose.commands.output_folder import make_output_folder
from lightning_pose.datamodules.splits import SPLITS, write_lists
from lightning_pose.datasets import PoseDataset
from lightning_pose.visualization import Tile, contact_sheet

__all__ = ["summary", "write_split_folder"]

_ROWS, _COLUMNS = 50, 8
"""Most groups on the sheet, and most images of each."""


def write_split_folder(
    folder: Path,
    people: PoseDataset,
    parts: Int64[np.ndarray, " I"],
    groups: Int64[np.ndarray, " I"],
    sets: Sequence[str],
) -> None:
    """Write the lists, and the near-duplicates as a table and as a sheet.

    Args:
        folder: A new or empty folder.
        people: Everyone in the splits.
        parts: For each image, sorted by name, the place of its split in `SPLITS`; -1 for none.
        groups: The group of near-duplicates of each image, see `duplicate_groups`.
        sets: The names of the sets of a mix, each of which gets a folder for its lists.

    Raises:
        ConfigError: The folder cannot be created, or meanwhile another command has written to it.
        DataError: An image for the sheet cannot be read.
    """
    names, person = np.unique(people.image_ids, return_index=True)
    make_output_folder(folder)
    for name in sets:
        inside = np.strings.startswith(names, f"{name}/")
        own = [image.removeprefix(f"{name}/") for image in names[inside].tolist()]
        write_lists(folder / name, np.array(own), parts[inside])
    if not sets:
        write_lists(folder, names, parts)
    # Who is left out because of them comes first.
    similar = sorted(_similar(groups), key=lambda group: parts[group].min() >= 0)
    splits = np.array([*SPLITS, ""])[parts]  # -1 is the last.
    # Names of files may be any bytes.
    with (folder / "duplicates.csv").open(
        "w", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        table = csv.writer(file)
        table.writerow(["image", "group", "split"])
        for group in similar:
            table.writerows((names[i], names[group[0]], splits[i]) for i in group.tolist())
    rows = [
        [
            Tile(people.read(int(person[i])).image, f"{splits[i] or 'left out'}: {names[i]}")
            for i in group[:_COLUMNS].tolist()
        ]
        for group in similar[:_ROWS]
    ]
    if rows:
        sheet = contact_sheet(rows, people.skeleton, height=192)
        Image.fromarray(sheet).save(folder / "duplicates.jpg", quality=92)


def summary(
    folder: Path,
    people: PoseDataset,
    parts: Int64[np.ndarray, " I"],
    groups: Int64[np.ndarray, " I"],
) -> str:
    """What was found and written, in a few lines for the end of the command.

    Args:
        folder: The folder.
        people: Everyone in the splits.
        parts: For each image, sorted by name, the place of its split in `SPLITS`; -1 for none.
        groups: The group of near-duplicates of each image, see `duplicate_groups`.

    Returns:
        The lines.
    """
    _, image = np.unique(people.image_ids, return_inverse=True)
    similar = _similar(groups)
    counts = [np.count_nonzero(parts[image] == part) for part in (*range(len(SPLITS)), -1)]
    people_of = ", ".join(f"{split} {count}" for split, count in zip(SPLITS, counts, strict=False))
    near = sum(len(group) for group in similar)
    lines = [
        f"Images: {len(groups)}, of which {near} are near-duplicates, in {len(similar)} groups",
        f"People: {people_of}; {counts[-1]} in no split",
        f"Lists, for the setting `splits` of the data: {folder}",
    ]
    if similar:
        lines.append(f"Near-duplicates to look at: {folder / 'duplicates.jpg'}")
    return "\n".join(lines)


def _similar(groups: Int64[np.ndarray, " I"]) -> list[Int64[np.ndarray, " S"]]:
    """The groups of more than one image, the largest first."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return sorted((g for g in np.split(order, starts) if len(g) > 1), key=len, reverse=True)
