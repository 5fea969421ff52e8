"""`lightning predict`: joints and masks of the people in pictures."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from lightning_pose.errors import InputError

__all__ = ["main"]

Boxes = dict[str, list[list[int | float]]]

_DESCRIPTION = """\
Find the joints and the mask of the person in each picture, or of the people in given boxes.

The output folder gets
  predictions.json  a list with one entry a person: image (the file's name), box, keypoints as
                    [x, y, score] in pixels of the upright picture, and mask, a file in masks/
  masks/            one PNG a person, of the picture's size: 255 person, 0 background
  overlays/         one JPEG a picture, with what was found drawn over it

A picture is turned upright as its EXIF orientation says; an integer coordinate is the centre of a
pixel. A file that cannot be read is named in one sentence while the others are done, and the exit
status is 1 then.
"""

_BOXES = """\
JSON file with tight boxes around the people, {"picture.jpg": [[x0, y0, x1, y1], ...], ...} in
pixels of the upright picture; a picture that it does not name is one person as a whole, and one
with an empty list shows nobody
"""


def main(argv: Sequence[str]) -> int:
    """Run `lightning predict`.

    Args:
        argv: The words behind the command.

    Returns:
        The exit status: 0, or 1 where a picture or a box could not be used.

    Raises:
        InputError: The checkpoint, the boxes, the device or a folder cannot be used.
    """
    options = _parser().parse_args(argv)
    # What can be checked without importing torch is checked first.
    if options.batch_size < 1:
        raise InputError(
            f"Expected --batch_size of 1 or more, found {options.batch_size}; raise it."
        )
    pictures = _find_pictures(options.images)
    boxes = {} if options.boxes is None else _read_boxes(options.boxes, pictures)
    if options.output.exists() and (not options.output.is_dir() or any(options.output.iterdir())):
        raise InputError(
            f"Expected a new or empty folder for the output, found {options.output} in use; "
            "choose another --output or empty it."
        )
    return _predict(options, pictures, boxes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lightning predict",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ckpt_path", required=True, type=Path, metavar="CKPT", help="checkpoint of a run")
    add(
        "--images", required=True, nargs="+", type=Path, metavar="PATH",
        help="picture files, or folders of which every file is taken, except hidden ones",
    )  # fmt: skip
    add("--output", required=True, type=Path, metavar="FOLDER", help="a new or empty folder")
    add("--boxes", type=Path, metavar="FILE", help=_BOXES)
    add("--device", default="auto", help="cpu, cuda, ...; by default the fastest that there is")
    add(
        "--batch_size", default=16, type=int, metavar="N",
        help="people at once, their pictures being in memory together (16)",
    )  # fmt: skip
    add(
        "--allow", action="append", default=[], metavar="PACKAGE",
        help="a package of your own that the checkpoint may import and run, once for each",
    )  # fmt: skip
    return parser


def _find_pictures(paths: Sequence[Path]) -> dict[str, Path]:
    """The files to read, by name; those of a folder in the order of their names."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            if not files:
                raise InputError(
                    f"Expected pictures in the folder {path}, found none; give the folder that "
                    "holds the files themselves."
                )
        else:
            files = [path]
        for file in files:
            other = found.setdefault(file.name, file)
            if other.resolve() != file.resolve():
                raise InputError(
                    f"Expected pictures of different names, found {other} and {file}; predict "
                    "them into two folders."
                )
    return found


def _read_boxes(path: Path, pictures: Mapping[str, Path]) -> Boxes:
    try:
        boxes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"Expected a JSON file of boxes at {path}, found that it cannot be read ({reason}); "
            "see lightning predict --help."
        ) from error
    if not isinstance(boxes, dict) or not all(isinstance(rows, list) for rows in boxes.values()):
        raise InputError(
            f"Expected {path} to hold a list of boxes for each picture's name, found another "
            "layout; see lightning predict --help."
        )
    for name, rows in boxes.items():
        for box in rows:
            if not _is_box(box):
                raise InputError(
                    f"Expected boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1 in {path}, found "
                    f"{json.dumps(box)} for {name}; correct it."
                )
    if not set(boxes) & set(pictures):
        raise InputError(
            f"Expected {path} to name at least one of the pictures, as {next(iter(pictures))!r}, "
            f"found {next(iter(boxes), '')!r}; use the files' names without folders."
        )
    return boxes


def _is_box(box: object) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    # No picture is a million pixels wide, and such numbers cannot be computed with.
    numbers = all(isinstance(v, int | float) and -1e6 < v < 1e6 for v in box)
    return numbers and box[0] < box[2] and box[1] < box[3]


def _labels(names: Sequence[str]) -> dict[str, str]:
    """What output files are called: the name without its ending where that tells all apart."""
    stems = {name: Path(name).stem for name in names}
    unique = len({stem.casefold() for stem in stems.values()}) == len(stems)
    return stems if unique else {name: name for name in names}


def _device(name: str) -> str:
    import torch

    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return "cpu" if found is None else str(found)
    try:
        torch.zeros(1, device=name).item()
    # Torch says in various ways that a device is misspelt, not there or not built in.
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Expected a device that this machine has, found {name!r}; give --device cpu or leave "
            "it out."
        ) from error
    return name


def _make_folders(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(
                f"Expected to make the folder {folder}, found that it cannot be made "
                f"({error.strerror}); choose another --output."
            ) from error


def _predict(options: argparse.Namespace, pictures: Mapping[str, Path], boxes: Boxes) -> int:
    # Here and not above, so that --help and wrong words are answered at once.
    import numpy as np
    from PIL import Image
    from rich.console import Console
    from rich.progress import Progress

    from lightning_pose.datasets.images import read_picture
    from lightning_pose.geometry import picture_box
    from lightning_pose.inference import Person, load, predict_people
    from lightning_pose.visualization import draw_mask, draw_skeleton

    model = load(options.ckpt_path, options.allow, _device(options.device))
    output: Path = options.output
    _make_folders(output / "masks", output / "overlays")
    console = Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    labels = _labels(list(pictures))
    complaints: list[str] = []

    def save(file: str, values: np.ndarray) -> bool:
        """Write a picture or a mask, or say why that failed."""
        try:
            Image.fromarray(values).save(output / file, quality=92)
        # The disk is full, the name too long, or the picture too large for its format.
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            complain(
                f"Expected to write {output / file}, found that it failed ({reason}); make room, "
                "or give the picture a shorter name or a smaller size."
            )
            return False
        return True

    def say(sentence: str) -> None:
        text = f"lightning predict: {sentence}"
        console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def complain(sentence: str) -> None:
        complaints.append(sentence)
        say(sentence)

    def people() -> Iterator[Person]:
        for name, path in progress.track(pictures.items(), description="Pictures"):
            try:
                image = read_picture(path)
            except InputError as error:
                complain(str(error))
                continue
            persons = [] if name in boxes else [Person(image, image_id=name)]
            left, top, right, bottom = picture_box(image.shape[:2])
            for box in boxes.get(name, []):
                if box[0] < right and box[1] < bottom and box[2] > left and box[3] > top:
                    persons.append(Person(image, np.array(box, dtype=np.float32), name))
                else:
                    complain(
                        f"Expected boxes that touch {path}, of {image.shape[1]} x "
                        f"{image.shape[0]} pixels, found {json.dumps(box)}; correct it in "
                        f"{options.boxes}."
                    )
            yield from persons
            if not persons:
                save(f"overlays/{labels[name]}.jpg", image)

    if unknown := [name for name in boxes if name not in pictures]:
        say(f"{options.boxes} also names what is not among the pictures, first {unknown[0]!r}.")
    entries = []
    try:
        with progress:
            predictions = predict_people(model, people(), options.batch_size)
            for name, group in groupby(predictions, key=lambda found: found.person.image_id):
                overlay = None
                for index, found in enumerate(group):
                    overlay = found.person.image if overlay is None else overlay
                    mask_name = None
                    if found.mask is not None:
                        person = found.mask > 0.5
                        shown = person.astype(np.uint8) * 255
                        file = f"{labels[name]}_{index}.png"
                        mask_name = file if save(f"masks/{file}", shown) else None
                        overlay = draw_mask(overlay, person)
                    if found.keypoints is not None:
                        drawn = np.ones(len(found.keypoints), dtype=np.bool_)
                        overlay = draw_skeleton(overlay, found.keypoints, drawn, model.skeleton)
                    entries.append({**found.to_dict(), "mask": mask_name})
                assert overlay is not None, "a group has a member"
                save(f"overlays/{labels[name]}.jpg", overlay)
    finally:  # Whatever stops it, what has been found is kept.
        text = ",\n".join(
            json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in entries
        )
        # What is no UTF-8 in a file's name is a lone surrogate to Python: JSON can escape it.
        (output / "predictions.json").write_text(
            f"[\n{text}\n]\n", encoding="utf-8", errors="backslashreplace"
        )
    return 1 if complaints else 0
