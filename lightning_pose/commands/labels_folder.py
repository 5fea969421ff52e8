"""The output of `lightning prepare`: labels per image, and all of them in COCO's format."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pycocotools.mask as coco
from filelock import FileLock, Timeout
from jaxtyping import Bool, Float64

from lightning_pose.atomic import PART, replacing
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.skeletons import Skeleton
from lightning_pose.teachers import LabelledPerson

__all__ = ["LabelsFolder", "checksum"]

# Tells a folder of this command from others; lists the checksums of each people.json it wrote.
_MARK = ".lightning_prepare"


class LabelsFolder:
    """Writes the labels of each image as they are found, so that a run that was killed can go on.

        folder/labels/NAME.jpg.json   the people in one image, and what made these labels
        folder/people.json            all of them in COCO's format, for `COCODataset`

    Each file is complete or not there, and a people.json that somebody changed is never replaced.
    A context, in which no other process writes to the folder.

    Args:
        folder: A new or empty folder, or one that an earlier run with the same teachers wrote.
        skeleton: The joints.
        about: What makes the labels: plain data, recorded in each file.

    Raises:
        ConfigError: The folder holds something else. On entering the context: it is in use, or its
            people.json was changed.
    """

    def __init__(self, folder: Path, skeleton: Skeleton, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.skeleton = skeleton
        self.about = dict(about)
        self.labels = folder / "labels"
        self.people = folder / "people.json"
        self._mark = self.labels / _MARK
        # A run that was stopped between the next two steps has left labels/ empty.
        is_ours = self._mark.is_file()
        if not is_ours and any(path != self.labels for path in folder.rglob("*")):
            raise ConfigError(
                f"Expected a new folder, or one that lightning prepare wrote, at {folder}, found "
                "other files in it; choose another --output."
            )
        self.labels.mkdir(parents=True, exist_ok=True)
        self._mark.touch()
        self._lock = FileLock(self.labels / ".lock")

    def __enter__(self) -> "LabelsFolder":
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(
                f"Expected that nothing else writes to {self.folder}, found another lightning "
                "prepare at work; wait for it, or choose another --output."
            ) from error
        try:
            self._refuse_changes()
        except ConfigError:
            self._lock.release()
            raise
        for path in self.labels.glob(f"*{PART}"):
            path.unlink()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _refuse_changes(self) -> None:
        if self.people.exists() and checksum(self.people) not in self._mark.read_text().split():
            raise ConfigError(
                f"Expected {self.people} as lightning prepare wrote it, found that it was changed; "
                "rename it to keep it, and run the command again."
            )

    def is_done(self, name: str, sources: Mapping[str, str]) -> bool:
        """Whether there are labels for an image as it is now.

        Args:
            name: The name of its file.
            sources: The checksums of the files that labels are made from: the image, and others.

        Raises:
            ConfigError: They were made in another way.
            DataError: They are damaged.
        """
        if not self._file(name).is_file():
            return False
        record = self._read(name)
        found = {key: value for key, value in record["about"].items() if key != "date"}
        if found != self.about:
            different = sorted(
                key for key in {*found, *self.about} if found.get(key) != self.about.get(key)
            )
            raise ConfigError(
                f"Expected labels made with the same teachers, versions and options in "
                f"{self.folder}, found others in {self._file(name).name} (they differ in "
                f"{', '.join(different)}); choose another --output, or the same options."
            )
        return bool(record.get("sources") == sources)

    def add(
        self,
        name: str,
        sources: Mapping[str, str],
        size: tuple[int, int],
        people: Sequence[LabelledPerson],
    ) -> None:
        """Write the labels of one image.

        Args:
            name: The name of its file.
            sources: The checksums of the files that the labels are made from, computed before.
            size: Its height and width in pixels.
            people: The people in it.
        """
        record = {
            "about": {**self.about, "date": _now()},
            "sources": dict(sources),
            "image": {"file_name": name, "height": size[0], "width": size[1]},
            "people": [_entry(person) for person in people],
        }
        with replacing(self._file(name)) as file:
            file.write(_json(record))

    def write_people(self, names: Sequence[str]) -> Float64[np.ndarray, " N"]:
        """Write the labels of all images to people.json, which may be larger than memory.

        Args:
            names: The names of the images' files; one without labels is left out.

        Returns:
            The score of each person, in the order of the file: the lower one of its two teachers.

        Raises:
            DataError: A file of labels is damaged.
        """
        skeleton = self.skeleton
        category = {
            "id": 1,
            "name": "person",
            "keypoints": list(skeleton.names),
            "skeleton": [[first + 1, second + 1] for first, second in skeleton.limbs],
        }
        info = {"description": "Pseudo-labels by lightning prepare", "date_created": _now()}
        images: list[dict[str, Any]] = []
        scores: list[float] = []
        with replacing(self.people) as file:
            head = _json({"info": {**info, **self.about}, "categories": [category]})
            file.write(head[:-1] + b', "annotations": [')
            for image, record in enumerate(self._records(names), start=1):
                images.append({"id": image, **record["image"]})
                for person in record["people"]:
                    ids = {"id": len(scores) + 1, "image_id": image, "category_id": 1}
                    file.write(b",\n" if scores else b"\n")
                    file.write(_json({**ids, **person}))
                    known = [person[key] for key in ("pose_score", "mask_score") if key in person]
                    scores.append(min(known))
            file.write(b'\n], "images": ' + _json(images) + b"}\n")
            file.flush()
            self._refuse_changes()
            # Noted before the file is renamed, so that a run that was killed in between does not
            # make the next one take it for a changed file.
            with self._mark.open("a") as mark:
                mark.write(f"{checksum(Path(file.name))}\n")
        return np.array(scores, dtype=np.float64)

    def _records(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        return (self._read(name) for name in names if self._file(name).is_file())

    def _file(self, name: str) -> Path:
        return self.labels / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any]:
        path = self._file(name)
        try:
            record = json.loads(path.read_bytes())
            if not isinstance(record["about"], dict) or record["image"]["file_name"] != name:
                raise ValueError("the labels of another image")
            for person in record["people"]:
                min(person[key] for key in ("pose_score", "mask_score") if key in person)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"Expected labels that lightning prepare wrote in {path}, found that they cannot "
                f"be read ({' '.join(str(error).split())}); remove the file to make it again."
            ) from error
        return dict(record)


def _entry(person: LabelledPerson) -> dict[str, Any]:
    """A person as an annotation of COCO, which counts boxes from the edge of the first pixel."""
    joints: list[float] = []
    for (x, y), labelled in zip(person.keypoints.tolist(), person.labelled.tolist(), strict=True):
        joints += [round(x, 2), round(y, 2), 2] if labelled else [0, 0, 0]
    left, top, right, bottom = (float(value) for value in person.box)
    entry: dict[str, Any] = {
        "iscrowd": 0,
        "bbox": [round(v, 2) for v in (left + 0.5, top + 0.5, right - left, bottom - top)],
        "num_keypoints": int(person.labelled.sum()),
        "keypoints": joints,
        "keypoint_scores": [round(score, 3) for score in person.joint_scores.tolist()],
    }
    if person.pose_score is not None:
        entry["pose_score"] = round(person.pose_score, 4)
    if person.mask is not None and person.mask_score is not None:
        entry["mask_score"] = round(person.mask_score, 4)
        entry["area"] = int(person.mask.sum())
        entry["segmentation"] = _run_lengths(person.mask)
    return entry


def _run_lengths(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    packed = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": packed["counts"].decode("ascii")}


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
