"""Checks of near-duplicates: photographs in two splits, and mirrored copies with wrong labels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Int64

from lightning_pose.datasets.duplicates import ImageHashes, duplicate_groups, hash_images
from lightning_pose.datasets.subset import Subset
from lightning_pose.diagnosis.finding import Finding, Severity
from lightning_pose.diagnosis.people import People, percent

__all__ = ["check_copies", "check_shared"]

# One percent of the images moves a metric by 0.01 at most, about the standard error for 750 people.
_MOST_SHARED = 0.01
_MOST_PAIRS = 10_000
_MOST_NAMED = 20


def check_shared(parts: Sequence[People]) -> list[Finding]:
    """Find people who are in two splits by their numbers.

    Args:
        parts: The people of each split or set.

    Returns:
        What was found.
    """
    findings = []
    for ours, theirs in _of_two_splits(parts):
        if _set(ours) != _set(theirs):
            continue  # Sets of a mix number their people from the same number.
        shared = np.isin(theirs.table.person_id, ours.table.person_id)
        if shared.any():
            sentence = (
                f"{shared.sum()} of {len(theirs)} people are in both {ours.name} and "
                f"{theirs.name}; choose splits that do not overlap."
            )
            suspects = tuple(np.flatnonzero(shared)[:200].tolist())
            findings.append(_leak(ours, theirs, 1.0, sentence, suspects))
    return findings


def check_copies(parts: Sequence[People], progress: bool) -> list[Finding]:
    """Find images of one photograph in two splits, and mirrored copies with sides unchanged.

    Args:
        parts: The people of each split or set; those with failures are left out.
        progress: Show a progress bar.

    Returns:
        What was found.
    """
    hashes: dict[str, ImageHashes] = {}
    findings = []
    for people in parts:
        usable = np.array([n for n in range(len(people)) if n not in people.failures], np.int64)
        unreadable: dict[int, str] = {}
        hashes[people.name] = hash_images(Subset(people.dataset, usable), progress, unreadable)
        if unreadable:
            findings.append(_unreadable(people, usable, unreadable))
    groups = _groups(hashes)
    for ours, theirs in _of_two_splits(parts):
        known = np.isin(groups[theirs.name], groups[ours.name])
        if known.any():
            names = hashes[theirs.name].image_ids[known]
            suspects = np.flatnonzero(np.isin(theirs.table.image_id, names))
            sentence = (
                f"{known.sum()} of {len(known)} images of {theirs.name} ({percent(known.mean())}) "
                f"show a photograph that {ours.name} has as well, perhaps scaled or mirrored, such "
                f"as {names[0]}; put all images of a photograph into one split."
            )
            share = float(known.mean())
            findings.append(_leak(ours, theirs, share, sentence, tuple(suspects[:200].tolist())))
    for people in parts:
        findings += _mirrored_copies(people, hashes[people.name], groups[people.name])
    return findings


def _unreadable(
    people: People, usable: Int64[np.ndarray, " U"], unreadable: dict[int, str]
) -> Finding:
    """Images that only this search reads, since other checks read those of some people."""
    suspects = usable[list(unreadable)]
    names = people.table.image_id[suspects[:_MOST_NAMED]].tolist()
    listed = ", ".join(map(str, names)) + ", ..." * (len(suspects) > _MOST_NAMED)
    sentence = (
        f"{len(suspects)} of the images or their masks cannot be read ({listed}): training stops "
        "at them, and they were not searched for near-duplicates; the first: "
        f"{next(iter(unreadable.values()))}"
    )
    title = "People that cannot be used"
    return Finding("wrong", people.name, title, sentence, tuple(suspects[:200].tolist()))


def _groups(hashes: dict[str, ImageHashes]) -> dict[str, np.ndarray]:
    """The group of each image of each part, over all parts together."""
    everything = ImageHashes(
        np.concatenate([one.image_ids for one in hashes.values()]),
        np.concatenate([one.hashes for one in hashes.values()]),
    )
    ends = np.cumsum([len(one.image_ids) for one in hashes.values()])
    groups = np.split(duplicate_groups(everything), ends[:-1])
    return dict(zip(hashes, groups, strict=True))


def _of_two_splits(parts: Sequence[People]) -> list[tuple[People, People]]:
    return [(one, other) for one, other in combinations(parts, 2) if one.split != other.split]


def _set(people: People) -> str:
    """The name of the set in a mix."""
    return people.name.removeprefix(people.split)


def _leak(
    ours: People, theirs: People, share: float, sentence: str, suspects: tuple[int, ...]
) -> Finding:
    # Validation and test are both unseen in training.
    severe = ours.split == "train" and share > _MOST_SHARED
    severity: Severity = "wrong" if severe else "suspicious"
    return Finding(severity, theirs.name, "Images in two splits", sentence, suspects)


def _mirrored_copies(
    people: People, hashes: ImageHashes, groups: Int64[np.ndarray, " I"]
) -> list[Finding]:
    """Copies that were mirrored to have more images, as other tools do before training."""
    alone = _alone(people)
    first = {name: n for n, name in enumerate(people.table.image_id.tolist()) if alone[n]}
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    kept, swapped = 0, []
    pairs = (pair for group in np.split(order, edges) for pair in combinations(group.tolist(), 2))
    for (one, other), _ in zip(pairs, range(_MOST_PAIRS), strict=False):
        bits = np.bitwise_count(hashes.hashes[one, 2:] ^ hashes.hashes[other, 2:]).sum()
        person, copy = (first.get(str(hashes.image_ids[image])) for image in (one, other))
        if bits <= 64 or person is None or copy is None:
            continue
        unswapped = _keeps_sides(people, person, copy)
        if unswapped:
            swapped.append(copy)
        elif unswapped is not None:
            kept += 1
    if not swapped:
        return []
    sentence = (
        f"{len(swapped)} of {len(swapped) + kept} mirrored copies of images have their joints "
        "mirrored, but not left and right exchanged; exchange them, or remove the copies, as "
        "training flips images itself."
    )
    suspects = tuple(swapped[:200])
    severe = len(swapped) > _MOST_SHARED * len(people)
    return [
        Finding(
            "wrong" if severe else "suspicious", people.name, "Mirrored copies", sentence, suspects
        )
    ]


def _alone(people: People) -> Bool[np.ndarray, " N"]:
    """Who is the only person in the image."""
    _, image, counts = np.unique(people.table.image_id, return_inverse=True, return_counts=True)
    found: np.ndarray = counts[image] == 1
    return found


def _keeps_sides(people: People, person: int, copy: int) -> bool | None:
    """Whether a mirrored copy has each joint on the side of the image; None if unlike either."""
    order = people.dataset.skeleton.flip_order
    sizes = people.sizes[[person, copy], ::-1].astype(np.float32)
    ours = people.table.keypoints[person] / sizes[0]
    theirs = people.table.keypoints[copy] / sizes[1]
    theirs[:, 0] = 1 - theirs[:, 0]
    labelled, other = people.labelled[person], people.labelled[copy]
    extent = float((people.extent[person] / sizes[0]).max())
    distances = []
    for places in (order, list(range(len(order)))):
        both = labelled & other[places]
        if both.sum() < 2:
            return None
        gaps = np.linalg.norm(ours - theirs[places], axis=1)[both]
        distances.append(float(gaps.mean()) / extent)
    if min(distances) > 0.1:
        return None
    return distances[1] < distances[0]
