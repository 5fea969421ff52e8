"""Checks of left and right: within a person, between body and face, and over a whole set.

If left and right are exchanged at all joints of a person, the labels alone cannot show it: seen
from far away, that is the same pose mirrored in depth, which a person can take as well. What shows
is a person of whom only some joints are exchanged, a face that is seen from behind, and a set in
which most people turn their backs to the camera.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People, count_people, percent, worst

__all__ = ["check_facing", "check_sides", "swap_scores"]

_SHOULDERS_HIPS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")

# Of the extent of the person: the narrower of shoulders and hips, and the gain of a pair of limbs.
_WIDE_ENOUGH = 0.08
_LONG_ENOUGH = 0.4
_MOST_SUSPECTED = 0.05
_FEWEST_SUSPECTED = 10

# A narrower torso is seen from the side, where a small error reverses the order of its two sides.
_NARROWEST = 0.1
_FEWEST_FACING = 50


def check_sides(people: People) -> list[Finding]:
    """Find people of whom some joints have left and right exchanged, and faces seen from behind.

    Args:
        people: The people.

    Returns:
        What was found.
    """
    return [*_partly_swapped(people), *_faces(people)]


def _partly_swapped(people: People) -> list[Finding]:
    scores = swap_scores(people)
    suspected = scores >= 1
    if not suspected.any():
        return []
    share = suspected.mean()
    severe = share > _MOST_SUSPECTED and suspected.sum() >= _FEWEST_SUSPECTED
    sentence = (
        f"Some joints of {count_people(int(suspected.sum()))} ({percent(share)}) seem to have "
        "left and right exchanged, by the order of shoulders and hips, or because limbs would be "
        "much shorter the other way round; look at them, and correct the labels."
    )
    return [
        Finding(
            "wrong" if severe else "suspicious",
            people.name,
            "Left and right within a person",
            sentence,
            worst(scores, suspected),
        )
    ]


def swap_scores(people: People) -> Float[np.ndarray, " N"]:
    """How clearly the labels of a person contradict each other about left and right.

    Shoulders and hips must be in the same order from left to right, unless the torso is narrow.
    Elbows, knees and what follows may cross, but a limb cannot be longer than it is: exchanging the
    further end of a pair of limbs, such as both wrists, makes them only a little shorter.

    Args:
        people: The people.

    Returns:
        1 or more for a person to be suspected, 0 for one without any contradiction.
    """
    found: np.ndarray = np.maximum(_torso_score(people), _limb_score(people))
    return found


def _torso_score(people: People) -> Float[np.ndarray, " N"]:
    places = people.places(*_SHOULDERS_HIPS)
    if places is None:
        return np.zeros(len(people))
    left_shoulder, right_shoulder, left_hip, right_hip = (
        people.table.keypoints[:, place] for place in places
    )
    shoulders, hips = left_shoulder - right_shoulder, left_hip - right_hip
    widths = np.linalg.norm(shoulders, axis=1), np.linalg.norm(hips, axis=1)
    cosine = (shoulders * hips).sum(axis=1) / np.maximum(widths[0] * widths[1], 1e-6)
    opposite = people.labelled[:, places].all(axis=1) & (cosine < -0.5)
    width = np.minimum(*widths) / people.extent
    return np.where(opposite, width / _WIDE_ENOUGH, 0).astype(np.float64)


def _limb_score(people: People) -> Float[np.ndarray, " N"]:
    skeleton, points = people.dataset.skeleton, people.table.keypoints
    order, scores = skeleton.flip_order, np.zeros(len(people))
    for near, far in skeleton.limbs:
        other_near, other_far = order[near], order[far]
        if other_near in (near, far) or other_far == far:
            continue
        gain = _lengths(points, near, far) + _lengths(points, other_near, other_far)
        gain -= _lengths(points, near, other_far) + _lengths(points, other_near, far)
        known = people.labelled[:, [near, far, other_near, other_far]].all(axis=1)
        scores = np.maximum(scores, np.where(known, gain / people.extent / _LONG_ENOUGH, 0))
    return scores


def _lengths(points: Float[np.ndarray, "N K 2"], start: int, end: int) -> Float[np.ndarray, " N"]:
    found: np.ndarray = np.linalg.norm(points[:, start] - points[:, end], axis=1)
    return found


def _facing(people: People) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Who faces the camera by the order of the shoulders, and for whom that can be said."""
    places = people.places(*_SHOULDERS_HIPS)
    if places is None:
        nobody = np.zeros(len(people), dtype=bool)
        return nobody, nobody
    left_shoulder, right_shoulder, left_hip, right_hip = (
        people.table.keypoints[:, place] for place in places
    )
    across = left_shoulder - right_shoulder
    up = (left_shoulder + right_shoulder) / 2 - (left_hip + right_hip) / 2
    turned = up[:, 0] * across[:, 1] - up[:, 1] * across[:, 0]
    width = turned / np.maximum(np.linalg.norm(up, axis=1), 1) / people.extent
    known = people.labelled[:, places].all(axis=1) & (np.abs(width) > _NARROWEST)
    return width > 0, known


def _faces(people: People) -> list[Finding]:
    """Whoever shows both eyes faces the camera, and has the left shoulder on the image's right."""
    places = people.places("nose", "left_eye", "right_eye")
    if places is None:
        return []
    facing, known = _facing(people)
    face = (people.table.visibility[:, places] == 2).all(axis=1) & known
    behind = face & ~facing
    if not behind.any():
        return []
    share = behind.sum() / face.sum()
    sentence = (
        f"{behind.sum()} of {face.sum()} people whose nose and eyes are seen ({percent(share)}) "
        "have their shoulders in the order of a person seen from behind: either they look back "
        "over a shoulder, or left and right are exchanged."
    )
    severe = share > 0.3 and face.sum() >= _FEWEST_FACING
    return [
        Finding(
            "wrong" if severe else "suspicious",
            people.name,
            "Faces seen from behind",
            sentence,
            worst(people.extent, behind),
        )
    ]


def check_facing(parts: Sequence[People]) -> list[Finding]:
    """Compare how many people face the camera between splits, and with a half.

    Args:
        parts: The people of each split or set.

    Returns:
        What was found; where it cannot be told, it says so.
    """
    shares: dict[str, tuple[float, int]] = {}
    for people in parts:
        facing, known = _facing(people)
        if known.sum() >= _FEWEST_FACING:
            shares[people.name] = float(facing[known].mean()), int(known.sum())
    findings = []
    for name, (share, count) in shares.items():
        # The standard error of a share is at most half of 1 / sqrt(count).
        noise = 2 / np.sqrt(count)
        if share < 0.5 - max(0.05, noise):
            sentence = (
                f"{percent(share)} of {count} people face the camera by the order of their "
                "shoulders, and in photographs it is usually more than half; look whether left and "
                "right are the person's own, and whether mirrored images have them exchanged."
            )
            findings.append(Finding("suspicious", name, "Facing the camera", sentence))
        elif share < 0.5 + max(0.05, noise):
            sentence = (
                f"About as many people face the camera as turn their back to it ({percent(share)} "
                f"of {count}), so the labels do not tell whether left and right are right."
            )
            findings.append(Finding("unknown", name, "Facing the camera", sentence))
    by_set: dict[str, list[tuple[str, float, int]]] = {}
    for people in parts:
        if people.name in shares:
            of = people.name.removeprefix(people.split)
            by_set.setdefault(of, []).append((people.name, *shares[people.name]))
    for (name, share, count), *others in by_set.values():
        for other, their_share, their_count in others:
            noise = 2 * np.sqrt(1 / count + 1 / their_count)
            if abs(share - their_share) > max(0.1, noise):
                sentence = (
                    f"{percent(share)} of the people in {name} face the camera, and "
                    f"{percent(their_share)} of those in {other}; in one of them, left and right "
                    "may be exchanged, as in images that were mirrored without doing so."
                )
                findings.append(Finding("suspicious", other, "Facing the camera", sentence))
    return findings
