"""Checks of the masks against the joints, and of what else the files of a sample say."""

import numpy as np

from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People, count_people, percent, worst
from lightning_pose.diagnosis.pixels import PixelSample, readings
from lightning_pose.diagnosis.places import count_from

__all__ = ["check_base", "check_files", "check_masks"]

_FEWEST = 20
_FEWEST_JOINTS = 50

# A person's other side is at most a fifth of the extent away: a twentieth is beyond every limb.
_FAR = 0.05
_MOST_OFF = 0.2

# Rough masks are rough on all sides, so that moving all joints gains less than 0.05.
_LARGEST_GAIN = 0.15

# Of 3,000 masks of Leeds Sports Pose Extended, none is empty and none covers half of its image.
_FULL = 0.98
_MOST_UNUSABLE = 0.03
_FEWEST_UNUSABLE = 3

# Between half a pixel, which separates two usual conventions, and a whole one.
_PIXEL = (0.75, 1.5)


def check_files(people: People, sample: PixelSample) -> list[Finding]:
    """Report whom training cannot use: it stops at the first of them.

    Args:
        people: The people.
        sample: What the files of some of them say.

    Returns:
        What was found.
    """
    failures = {**people.failures, **sample.failures}
    if not failures:
        return []
    sentence = (
        f"Training stops at {count_people(len(failures))} or more, whose labels or files "
        f"cannot be used; the first: {next(iter(failures.values()))}"
    )
    title = "People that cannot be used"
    return [Finding("wrong", people.name, title, sentence, tuple(failures)[:200])]


def check_masks(people: People, sample: PixelSample) -> list[Finding]:
    """Find masks that show nobody, or other people, moved ones, and joints that contradict them.

    Args:
        people: The people.
        sample: What the files of some of them say.

    Returns:
        What was found.
    """
    findings = [*_shares(people, sample), *_flags(people, sample)]
    shares = sample.on_mask[~np.isnan(sample.on_mask).any(axis=1)]
    if len(shares) >= _FEWEST:
        means = shares.mean(axis=0)
        best = int(means.argmax())
        if means[best] > means[0] + _LARGEST_GAIN:
            name = list(readings((1, 1), 1.0))[best]
            sentence = (
                f"{percent(means[0])} of the visible joints lie on the mask of their person, and "
                f"{percent(means[best])} would be on it {name}; correct the coordinates or the "
                "masks."
            )
            findings.append(Finding("wrong", people.name, "Joints against masks", sentence))
    far = (sample.off_mask > _FAR) & (people.table.visibility[sample.index] == 2)
    known = ~np.isnan(sample.off_mask) & (people.table.visibility[sample.index] == 2)
    off = far.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    beside = off > 0.5
    if beside.any():
        judged = known.any(axis=1).sum()
        share = beside.sum() / judged
        sentence = (
            f"{beside.sum()} of {judged} people with masks ({percent(share)}) have most visible "
            f"joints farther from their mask than {percent(_FAR)} of the person; the mask is that "
            "of somebody else, or the labels are of another image."
        )
        severe = share > _MOST_OFF and judged >= _FEWEST
        suspects = tuple(int(sample.index[row]) for row in worst(off, beside))
        findings.append(
            Finding(
                "wrong" if severe else "suspicious",
                people.name,
                "Joints far from the mask",
                sentence,
                suspects,
            )
        )
    return findings


def _shares(people: People, sample: PixelSample) -> list[Finding]:
    """Find masks that are empty or full, as those in other values than 0 and 255 become."""
    empty, full = sample.covered == 0, sample.covered > _FULL
    unusable, judged = empty | full, np.count_nonzero(~np.isnan(sample.covered))
    if not unusable.any():
        return []
    share = unusable.sum() / judged
    sentence = (
        f"Of {judged} masks, {empty.sum()} are empty and {full.sum()} cover nearly all of the "
        f"image ({percent(share)} together); write 255 for the person and 0 for the background, "
        "and leave the mask out where the person is not outlined."
    )
    severe = share > _MOST_UNUSABLE and unusable.sum() >= _FEWEST_UNUSABLE
    suspects = tuple(sample.index[unusable][:200].tolist())
    return [
        Finding(
            "wrong" if severe else "suspicious",
            people.name,
            "Empty or full masks",
            sentence,
            suspects,
        )
    ]


def _flags(people: People, sample: PixelSample) -> list[Finding]:
    """A mask shows what is visible of a person: occluded joints lie on it less often."""
    flags = np.where(np.isnan(sample.off_mask), 0, people.table.visibility[sample.index])
    on_mask = sample.off_mask == 0
    occluded, visible = flags == 1, flags == 2
    if min(occluded.sum(), visible.sum()) < _FEWEST_JOINTS:
        return []
    shares = float(on_mask[occluded].mean()), float(on_mask[visible].mean())
    if shares[0] < shares[1] + 0.1:
        return []
    sentence = (
        f"{percent(shares[0])} of the joints that are flagged as occluded lie on the mask, but "
        f"only {percent(shares[1])} of the visible ones; the flag seems to be the opposite."
    )
    return [Finding("wrong", people.name, "Flags against masks", sentence)]


def check_base(people: People, sample: PixelSample) -> list[Finding]:
    """Find coordinates that are one pixel off, such as those that count from 1.

    The borders of images tell, if people are cut off there. The masks tell as well: on average
    over many people, who turn left as often as right, the mask around a joint leans to no side. In
    y, there is no such symmetry.

    Args:
        people: The people.
        sample: What the files of some of them say.

    Returns:
        What was found; where neither tells, that.
    """
    base, counted = count_from(people)
    title = "First pixel"
    if base in (1, -1):
        sentence = f"Coordinates seem to count from {base} instead of 0 ({counted}); " + (
            "subtract 1 in the dataset." if base == 1 else "1 was subtracted once too often."
        )
        return [Finding("wrong", people.name, title, sentence)]
    offset, error = _offset(sample)
    if error > 0.15:
        if base == 0:
            return []
        masks = f"masks locate them to {error:.1f} pixels" if error < 9 else "few people have masks"
        sentence = (
            "Whether coordinates count from 0 or from 1 cannot be told: too few joints lie at the "
            f"borders of images ({counted}), and {masks}; read the documentation of the files."
        )
        return [Finding("unknown", people.name, title, sentence)]
    if abs(offset) < _PIXEL[0]:
        return []
    side = "right" if offset > 0 else "left"
    sentence = (
        f"Joints lie {abs(offset):.2f} pixels (standard error {error:.2f}) to the {side} of the "
        f"middle of their masks, in the mean ({counted}); "
    )
    if abs(offset) < _PIXEL[1]:
        sentence += "check whether coordinates and masks count pixels from 0, as they should."
    else:
        sentence += "check that masks and coordinates belong to the same images."
    return [Finding("suspicious", people.name, title, sentence)]


def _offset(sample: PixelSample) -> tuple[float, float]:
    """How far right of their masks the joints lie in pixels, and its standard error."""
    lean = sample.lean[~np.isnan(sample.lean).any(axis=1)]
    if len(lean) < _FEWEST:
        return 0.0, np.inf
    means = lean.mean(axis=0)
    # By how much the window follows the joint, depends on how wide the limbs are.
    slope = (means[2] - means[0]) / 2
    if slope > -0.1:
        return 0.0, np.inf
    return float(means[1] / slope), float(lean[:, 1].std() / np.sqrt(len(lean)) / -slope)
