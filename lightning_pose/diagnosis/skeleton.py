"""Checks of the skeleton: which joints a flip exchanges, and where the head and the torso are."""

import numpy as np
from jaxtyping import Float

from lightning_pose.datasets.skeleton_files import unswapped_sides
from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People
from lightning_pose.skeletons import Skeleton

__all__ = ["check_skeleton", "check_symmetry"]

_NAME = "skeleton"

# The differences of a right skeleton come from handedness: at most 0.02 in the sets that this
# package reads. Exchanged ankles and knees differ by 0.27. With 100 people, the standard error of a
# difference is about 0.025.
_FEWEST = 100
_LARGEST_DIFFERENCE = 0.1
_MOST_PEOPLE = 2000


def check_skeleton(skeleton: Skeleton, flip: float) -> list[Finding]:
    """Compare flip pairs and segments with the names of the joints.

    Args:
        skeleton: The joints.
        flip: The probability that training mirrors a person.

    Returns:
        What is wrong.

    Example:
        >>> from dataclasses import replace
        >>> from lightning_pose.skeletons import LSP14
        >>> pairs = ((0, 4), (1, 5), (2, 3), (6, 11), (7, 10), (8, 9))
        >>> print(check_skeleton(replace(LSP14, flip_pairs=pairs), 0.5)[0].sentence)
        A flip exchanges right_ankle with left_knee instead of left_ankle, right_knee with
        left_ankle instead of left_knee; correct the skeleton's flip_pairs.
    """
    return [*_flip_pairs(skeleton, flip), *_segments(skeleton)]


def _flip_pairs(skeleton: Skeleton, flip: float) -> list[Finding]:
    names, order = skeleton.names, skeleton.flip_order
    wrong = []
    for joint, name in enumerate(names):
        # Each pair once, from its right joint; a left joint alone has no partner to be found.
        mirrored = name.replace("right_", "left_", 1)
        if name.startswith("right_") and mirrored in names:
            partner = names.index(mirrored)
            if order[joint] == joint:
                wrong.append(f"leaves {name} in its place instead of exchanging it with {mirrored}")
            elif order[joint] != partner:
                wrong.append(f"exchanges {name} with {names[order[joint]]} instead of {mirrored}")
    if wrong:
        first, *others = wrong
        listed = ", ".join([first, *(text.removeprefix("exchanges ") for text in others)])
        sentence = f"A flip {listed}; correct the skeleton's flip_pairs."
        return [Finding("wrong", _NAME, "Flip pairs", sentence)]
    if flip > 0 and (sides := unswapped_sides(skeleton)):
        sentence = (
            f"A flip does not exchange {sides[0]} and {sides[1]}, but training flips with a "
            f"probability of {flip:g}; name the joints of the two sides left_NAME and right_NAME, "
            "or set data.flip to 0."
        )
        return [Finding("wrong", _NAME, "Flip pairs", sentence)]
    if flip > 0 and len(names) > 1 and not skeleton.flip_pairs:
        sentence = (
            f"A flip exchanges no joints, but training flips with a probability of {flip:g}; name "
            "the joints of the two sides left_ and right_, or set data.flip to 0."
        )
        return [Finding("suspicious", _NAME, "Flip pairs", sentence)]
    return []


def _segments(skeleton: Skeleton) -> list[Finding]:
    if skeleton.head is None:
        return []
    ends = [skeleton.names[joint] for joint in skeleton.head]
    has_head = any("head" in name for name in skeleton.names)
    sided = any(name.startswith(("left_", "right_")) for name in ends)
    if not sided and not (has_head and not any("head" in name for name in ends)):
        return []
    sentence = (
        f"The head of the skeleton runs from {ends[0]} to {ends[1]}, which are not the two ends of "
        "a head, so that PCKh divides by another length; correct the skeleton's head."
    )
    return [Finding("wrong", _NAME, "Head segment", sentence)]


def check_symmetry(people: People) -> list[Finding]:
    """Compare distances between joints with those between the joints that a flip puts there.

    People are symmetric: over many of them, the elbow is as far from the wrist on the left as on
    the right, and a joint in the middle is as far from both. Distances need no common pose, and
    neither turning nor mirroring changes them.

    Args:
        people: The people.

    Returns:
        The largest difference, if it cannot be chance or handedness.
    """
    differences = _differences(people)
    if np.isnan(differences).all():
        return []
    first, second = np.unravel_index(np.nanargmax(differences), differences.shape)
    largest = float(differences[first, second])
    if largest < _LARGEST_DIFFERENCE:
        return []
    names = people.dataset.skeleton.names
    order = people.dataset.skeleton.flip_order
    sentence = (
        f"The distance from {names[first]} to {names[second]} is larger by {largest:.2f} of the "
        f"person than that from {names[order[first]]} to {names[order[second]]}, which a flip puts "
        f"in their place (up to {_LARGEST_DIFFERENCE} is usual); correct the order of the joints "
        "in the file, or the skeleton's names and flip_pairs."
    )
    return [Finding("wrong", people.name, "Symmetry of the joints", sentence)]


def _differences(people: People) -> Float[np.ndarray, "K K"]:
    """How much longer the mean distance of two joints is than that of their mirror images.

    The unit is the extent of a person; NaN where too few people have all four joints.
    """
    order = people.dataset.skeleton.flip_order
    chosen = np.arange(len(people))
    if len(chosen) > _MOST_PEOPLE:
        chosen = np.random.default_rng(0).choice(chosen, _MOST_PEOPLE, replace=False)
    points = people.table.keypoints[chosen] / people.extent[chosen, None, None]
    labelled = people.labelled[chosen]
    distances = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    both = labelled[:, :, None] & labelled[:, None]
    all_four = both & both[:, order][:, :, order]
    gaps = np.where(all_four, distances - distances[:, order][:, :, order], 0)
    counts = all_four.sum(axis=0)
    means = gaps.sum(axis=0) / np.maximum(counts, 1)
    return np.where(counts >= _FEWEST, means, np.nan)
