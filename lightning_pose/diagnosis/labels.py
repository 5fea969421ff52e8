"""Checks of what is labelled: flags, placeholders, boxes, and the sizes of head and torso."""

import numpy as np
from jaxtyping import Float

from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People, count_people, percent, worst

__all__ = ["check_boxes", "check_flags", "check_segments"]

_FEWEST_PEOPLE = 30
_FEWEST_JOINTS = 100
_FEWEST_BESIDE = 10

# The median of head / torso is 0.39 to 0.44 in LSP, LSP Extended, MPII and synthetic people.
_HEAD_PER_TORSO = (0.25, 0.7)
_SHORTEST = 0.02


def check_flags(people: People) -> list[Finding]:
    """Find flags that say the opposite, placeholders, and joints that nobody has.

    Args:
        people: The people.

    Returns:
        What was found.
    """
    labelled, names = people.labelled, people.dataset.skeleton.names
    if not labelled.any():
        sentence = "Nobody has a labelled joint, so that only masks can be learnt from this set."
        return [Finding("suspicious", people.name, "Labelled joints", sentence)]
    findings = []
    occluded = float((people.table.visibility[labelled] == 1).mean())
    if occluded > 0.5 and labelled.sum() >= _FEWEST_JOINTS:
        sentence = (
            f"{percent(occluded)} of the labelled joints are flagged as occluded, and at "
            "most a quarter is usual; check that the flag is not the opposite (in Leeds "
            "Sports Pose, 1 marks occluded joints, in its extension visible ones)."
        )
        findings.append(Finding("wrong", people.name, "Flags of visibility", sentence))
    corner = labelled & people.at_placeholder
    if corner.sum() > max(1, 0.001 * labelled.sum()):
        sentence = (
            f"{corner.sum()} labelled joints ({percent(corner.sum() / labelled.sum())}) of "
            f"{count_people(int(corner.any(axis=1).sum()))} lie at exactly (0, 0) or (-1, -1), as "
            "placeholders of unlabelled joints do; give these visibility 0."
        )
        suspects = worst(corner.sum(axis=1), corner.any(axis=1))
        findings.append(Finding("wrong", people.name, "Joints at the corner", sentence, suspects))
    never = [name for name, found in zip(names, np.any(labelled, axis=0), strict=True) if not found]
    if never:
        sentence = f"Nobody has a label for {', '.join(never)}; a model cannot learn it from here."
        findings.append(Finding("suspicious", people.name, "Joints without labels", sentence))
    return findings


def check_segments(people: People) -> list[Finding]:
    """Check the lengths that PCKh and PCK divide by.

    Args:
        people: The people.

    Returns:
        What was found.
    """
    skeleton, table = people.dataset.skeleton, people.table
    findings = []
    segments = (
        ("head", "PCKh", skeleton.head, table.head_size),
        ("torso", "PCK", skeleton.torso, table.torso_size),
    )
    for part, metric, ends, sizes in segments:
        if ends is None:
            continue
        missing = float((sizes <= 0).mean())
        if missing > 0.5:
            sentence = (
                f"{percent(missing)} of the people have no {part} size, and {metric} leaves them "
                f"out; label both ends of the {part}, or choose another metric."
            )
            severe = missing == 1 and people.labelled[:, ends].all(axis=1).any()
            findings.append(
                Finding(
                    "wrong" if severe else "suspicious",
                    people.name,
                    f"{part.capitalize()} sizes",
                    sentence,
                )
            )
        short = (sizes > 0) & (sizes < _SHORTEST * people.extent)
        if short.any():
            sentence = (
                f"The {part} of {count_people(int(short.sum()))} is shorter than "
                f"{percent(_SHORTEST)} of the person, so that {metric} counts hardly any of their "
                "joints as right; it is seen from its end, or its two joints are on one place by "
                "mistake."
            )
            findings.append(
                Finding(
                    "suspicious",
                    people.name,
                    f"Short {part}s",
                    sentence,
                    worst(-sizes / people.extent, short),
                )
            )
    both = (table.head_size > 0) & (table.torso_size > 0)
    if skeleton.head is not None and both.sum() >= _FEWEST_PEOPLE:
        ratio = float(np.median(table.head_size[both] / table.torso_size[both]))
        low, high = _HEAD_PER_TORSO
        if not low <= ratio <= high:
            sentence = (
                f"The head is {ratio:.2f} times as long as the torso, in the median, where {low} "
                f"to {high} is usual; check which joints or which unit the two sizes are from."
            )
            findings.append(Finding("wrong", people.name, "Head and torso", sentence))
    return findings


def check_boxes(people: People) -> list[Finding]:
    """Compare boxes with the labelled joints, also as if they were meant in another form.

    Args:
        people: The people.

    Returns:
        What was found.
    """
    # With few joints, a box around the person says little about them.
    labelled = people.labelled
    chosen = labelled.sum(axis=1) >= max(2, labelled.shape[1] // 2)
    if chosen.sum() < _FEWEST_PEOPLE:
        return []
    boxes, joints = people.table.box[chosen], people.joint_boxes[chosen]
    corner, other = boxes[:, :2], boxes[:, 2:]
    readings = {
        "x0, y0, x1, y1": boxes,
        "x, y, width, height": np.concatenate((corner, corner + other), axis=1),
        # A reader added the corner to what was the other corner already.
        "x0, y0, x1, y1 that were taken for x, y, width, height": np.concatenate(
            (corner, other - corner), axis=1
        ),
    }
    overlaps = {name: _overlap(reading, joints) for name, reading in readings.items()}
    found, *_ = overlaps.values()
    best = max(overlaps, key=lambda name: float(overlaps[name].mean()))
    gain = overlaps[best] - found
    if gain.mean() > max(0.1, 4 * gain.std() / np.sqrt(len(gain))):
        sentence = (
            f"The boxes overlap with the labelled joints by {found.mean():.2f} (intersection over "
            f"union, in the mean), and by {overlaps[best].mean():.2f} if read as {best}; correct "
            "how they are read."
        )
        return [Finding("wrong", people.name, "Form of the boxes", sentence)]
    points, box = people.table.keypoints, people.table.box[:, None]
    margin = 0.1 * people.extent[:, None, None]
    inside = ((points >= box[..., :2] - margin) & (points <= box[..., 2:] + margin)).all(axis=2)
    share = (inside & labelled).sum(axis=1) / np.maximum(labelled.sum(axis=1), 1)
    beside = chosen & (share < 0.5)
    if not beside.any():
        return []
    part = beside.sum() / chosen.sum()
    sentence = (
        f"Most joints of {count_people(int(beside.sum()))} ({percent(part)}) lie outside "
        "their own box, of which the crop is made; correct these boxes."
    )
    severe = part > 0.05 and beside.sum() >= _FEWEST_BESIDE
    return [
        Finding(
            "wrong" if severe else "suspicious",
            people.name,
            "Joints outside the box",
            sentence,
            worst(-share, beside),
        )
    ]


def _overlap(
    boxes: Float[np.ndarray, "M 4"], others: Float[np.ndarray, "M 4"]
) -> Float[np.ndarray, " M"]:
    """Intersection over union of boxes xyxy; 0 where a box has no area."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, 2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = [np.clip(box[:, 2:] - box[:, :2], 0, None).prod(axis=1) for box in (boxes, others)]
    found: np.ndarray = shared / np.maximum(areas[0] + areas[1] - shared, 1e-6)
    return found
