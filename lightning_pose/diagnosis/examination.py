"""The whole examination of a data module: its splits, their labels, and some of their files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lightning_pose.datamodules.base import PoseDataModule, Split
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.checks import check_people
from lightning_pose.datasets.mix import MixedDataset
from lightning_pose.diagnosis.copies import check_copies, check_shared
from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.labels import check_boxes, check_flags, check_segments
from lightning_pose.diagnosis.masks import check_base, check_files, check_masks
from lightning_pose.diagnosis.people import People, Track, read_people
from lightning_pose.diagnosis.pixels import PixelSample, sample_pixels
from lightning_pose.diagnosis.places import check_places
from lightning_pose.diagnosis.sides import check_facing, check_sides
from lightning_pose.diagnosis.skeleton import check_skeleton, check_symmetry
from lightning_pose.errors import InputError, LeakError

__all__ = ["Examination", "examine"]

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_ORDER = ("wrong", "suspicious", "unknown")


@dataclass(frozen=True)
class Examination:
    """What was examined, and what was found.

    Attributes:
        parts: The people of each split, and in a mix of each of its sets.
        samples: What the files of some of them say, for each part.
        findings: What was found, the worst first.
    """

    parts: tuple[People, ...]
    samples: tuple[PixelSample, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.severity == "wrong" for finding in self.findings)


def examine(
    data: PoseDataModule, images: int, copies: bool, track: Track, progress: bool = False
) -> Examination:
    """Examine the people that a data module trains and evaluates on.

    Everyone's labels are read, and the sizes of all images from their headers. Pixels are read for
    some people of each split, and, to find near-duplicates, once more of every image at a reduced
    scale.

    Args:
        data: The data module.
        images: For how many people of each split, or set of a split, pixels are read.
        copies: Search near-duplicates.
        track: Shows the progress.
        progress: Show a progress bar for the search of near-duplicates.

    Returns:
        What was found.

    Raises:
        InputError: The train or the val split cannot be opened.
    """
    splits, findings = _open(data)
    findings += check_skeleton(data.skeleton, data.flip)
    parts, samples = [], []
    for split, name, dataset in _parts(splits):
        people = read_people(split, name, dataset, track)
        sample = sample_pixels(people, images, track)
        for found in (
            check_files(people, sample),
            check_flags(people),
            check_boxes(people),
            check_places(people),
            check_masks(people, sample),
            check_base(people, sample),
            check_segments(people),
            check_sides(people),
            check_symmetry(people),
        ):
            findings += found
        parts.append(replace(people, failures={**people.failures, **sample.failures}))
        samples.append(sample)
    findings += check_facing(parts)
    findings += check_shared(parts)
    if copies and parts:
        findings += check_copies(parts, progress)
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    return Examination(tuple(parts), tuple(samples), tuple(findings))


def _open(data: PoseDataModule) -> tuple[dict[Split, PoseDataset], list[Finding]]:
    """Open all splits; only the test split, which training does not need, may be missing."""
    splits: dict[Split, PoseDataset] = {}
    findings = []
    for split in _SPLITS:
        try:
            people = data.make_dataset(split)
            check_people(people, data.skeleton, data.labels)
        except InputError as error:
            if split != "test" or isinstance(error, LeakError):
                raise
            sentence = f"There is no test split to examine: {error}"
            findings.append(Finding("unknown", split, "Test split", sentence))
            continue
        if len(people):
            splits[split] = people
        else:
            sentence = "Nobody is in this split; choose other splits, or more people."
            severe = split != "test"
            findings.append(
                Finding("wrong" if severe else "unknown", split, "Empty split", sentence)
            )
    return splits, findings


def _parts(splits: dict[Split, PoseDataset]) -> Iterator[tuple[Split, str, PoseDataset]]:
    """The people of each split, by set in a mix, whose sets may have different conventions."""
    for split, people in splits.items():
        if isinstance(people, MixedDataset):
            for name, one in people.sets.items():
                if len(one):
                    yield split, f"{split}/{name}", one
        else:
            yield split, split, people
