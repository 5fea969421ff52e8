"""`lightning predict`: joints and masks of the people in images."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.commands.output_folder import check_output_folder
from lightning_pose.commands.sigterm import raising_at_sigterm
from lightning_pose.errors import ConfigError, DataError, InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from lightning_pose.commands.predictions_folder import PredictionsFolder
    from lightning_pose.input_spec import BoxAround
    from lightning_pose.person import Person

__all__ = ["main"]

Boxes = dict[str, list[list[int | float]]]

_DESCRIPTION = """\
Find the joints, the mask and the labels of the person in each image, or of the people in given
boxes.

The output folder gets
  predictions.json  "model", "heads" (which head each of them is from), "joints" (the names of the
                    keypoints, in order), "limbs" (pairs of joints), and "people", one entry per
                    person: image (the file's name), its size as [height, width], box,
                    score (the mean over the joints), keypoints as [x, y, score] in pixels of the
                    upright image, labels (the probability of each class by name, the most probable
                    first, or a number), and mask, a file in masks/ or null
  masks/            one PNG per person, of the image's size: 255 person, 0 background
  overlays/         one JPEG per image, with the predictions drawn over it; joints with a score
                    below 0.2 are rings

Images are turned upright by their EXIF orientation; an integer coordinate is the centre of a pixel.
A file that cannot be read is reported in one sentence and the others are still processed; the exit
status is then 1.
"""

_BOXES = """\
JSON file with boxes of the people, {"image.jpg": [[x0, y0, x1, y1], ...], ...} in
pixels of the upright image; an image that is not listed counts as one person, an image with an
empty list as none
"""


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning predict`.

    Args:
        command: "predict".
        argv: The arguments after it.

    Returns:
        The exit status: 0, or 1 where an image or a box could not be used.

    Raises:
        InputError: The checkpoint, the boxes, the device or a folder cannot be used.
    """
    options = _parser(command).parse_args(argv)
    # First check everything that does not need torch.
    if options.batch_size < 1:
        raise ConfigError(
            f"Expected --batch_size of 1 or more, found {options.batch_size}; raise it."
        )
    images = _find_images(options.images)
    boxes = {} if options.boxes is None else _read_boxes(options.boxes, images)
    check_output_folder(options.output)
    with raising_at_sigterm():
        return _predict(options, images, boxes)


def _parser(command: str) -> argparse.ArgumentParser:
    parser = make_parser(command, _DESCRIPTION)
    add = parser.add_argument
    add("--ckpt_path", required=True, type=Path, metavar="CKPT", help="checkpoint of a run")
    add(
        "--images", required=True, nargs="+", type=Path, metavar="PATH",
        help="image files, or folders, from which all files but hidden ones are taken",
    )  # fmt: skip
    add("--output", required=True, type=Path, metavar="FOLDER", help="a new or empty folder")
    add("--boxes", type=Path, metavar="FILE", help=_BOXES)
    add(
        "--boxes_around", choices=["silhouette", "joints"], default="silhouette",
        help="what the boxes are tight around: every pixel of the person, as a detector gives them "
        "(default), or the joints, as in training",
    )  # fmt: skip
    add("--head", metavar="NAME", help="the head to prefer; by default the model's main head")
    add(
        "--flip", choices=["true", "false"], default="false",
        help="average the predictions for each image and its mirror image",
    )  # fmt: skip
    add("--device", default="auto", help="cpu, cuda, ...; default: a GPU if there is one, else cpu")
    add(
        "--batch_size", default=16, type=int, metavar="N",
        help="people per batch; their images are held in memory together (default: 16)",
    )  # fmt: skip
    add(
        "--allow", action="append", default=[], metavar="PACKAGE",
        help="a package of your own that the checkpoint may import and run; repeat for more",
    )  # fmt: skip
    return parser


def _find_images(paths: Sequence[Path]) -> dict[str, Path]:
    """The files to read, by name; the files of a folder are sorted by name."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            if not files:
                raise DataError(
                    f"Expected images in the folder {path}, found none; give the folder that "
                    "holds the files themselves."
                )
        elif path.is_file():
            files = [path]
        else:
            raise DataError(f"Expected an image or a folder, found nothing at {path}; correct it.")
        for file in files:
            other = found.setdefault(file.name, file)
            if other.resolve() != file.resolve():
                raise DataError(
                    f"Expected images with different names, found {other} and {file}; run the "
                    "command once for each, with its own --output."
                )
    return found


def _read_boxes(path: Path, images: Mapping[str, Path]) -> Boxes:
    try:
        boxes = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"Expected a JSON file of boxes at {path}, found that it cannot be read ({reason}); "
            "see lightning predict --help."
        ) from error
    if not isinstance(boxes, dict) or not all(isinstance(rows, list) for rows in boxes.values()):
        raise DataError(
            f"Expected {path} to hold a list of boxes for each image's name, found another "
            "layout; see lightning predict --help."
        )
    # Imported here, so that --help and wrong arguments are answered at once.
    from lightning_pose.person import SHORTEST

    for name, rows in boxes.items():
        for box in rows:
            if not _is_box(box):
                raise DataError(
                    f"Expected boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1 in {path}, found "
                    f"{json.dumps(box)} for {name}; correct it."
                )
            if min(box[2] - box[0], box[3] - box[1]) < SHORTEST:
                raise DataError(
                    f"Expected boxes of {SHORTEST} pixels or more along each side in {path}, found "
                    f"{json.dumps(box)} for {name}; give pixels, not fractions of the image."
                )
    if not set(boxes) & set(images):
        raise DataError(
            f"Expected {path} to name at least one of the images, as {next(iter(images))!r}, "
            f"found {next(iter(boxes), '')!r}; use the files' names without folders."
        )
    return boxes


def _is_box(box: object) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    # No image is a million pixels wide, and larger numbers would break the arithmetic.
    numbers = all(isinstance(v, int | float) and -1e6 < v < 1e6 for v in box)
    return numbers and box[0] < box[2] and box[1] < box[3]


def _predict(options: argparse.Namespace, images: Mapping[str, Path], boxes: Boxes) -> int:
    # Imported here, so that --help and wrong arguments are answered at once.
    from rich.console import Console
    from rich.progress import Progress

    from lightning_pose.commands.device import choose_device
    from lightning_pose.commands.predictions_folder import PredictionsFolder
    from lightning_pose.inference import Predictor, load

    model = load(options.ckpt_path, options.allow, choose_device(options.device)).model
    predictor = Predictor(model, options.head)
    console = Console(stderr=True)
    progress = Progress(console=console, disable=not console.is_terminal)
    about = {
        "model": options.ckpt_path.name,
        "heads": predictor.heads,
        "joints": list(model.skeleton.names),
        "limbs": [list(limb) for limb in model.skeleton.limbs],
    }
    with PredictionsFolder(options.output, list(images), about, console) as folder:
        if unknown := [name for name in boxes if name not in images]:
            folder.report(
                f"{options.boxes} also names images that are not in --images and are ignored, "
                f"the first {unknown[0]!r}."
            )
        with progress:
            people = _people(images, boxes, options.boxes_around, folder, progress)
            predictions = predictor.stream(people, options.batch_size, options.flip == "true")
            for name, group in groupby(predictions, key=lambda found: found.person.image_id):
                folder.add(name, group)
    print(folder.summary())
    return 1 if folder.failures else 0


def _people(
    images: Mapping[str, Path],
    boxes: Boxes,
    around: "BoxAround",
    folder: "PredictionsFolder",
    progress: "Progress",
) -> Iterator["Person"]:
    """Read the images one by one, and yield the people to predict."""
    import numpy as np

    from lightning_pose.datasets.images import read_image
    from lightning_pose.geometry import image_box
    from lightning_pose.person import Person

    for name, path in progress.track(images.items(), description="Images"):
        try:
            image, _ = read_image(path)
        except InputError as error:
            folder.report_failure(str(error))
            continue
        people = [] if name in boxes else [Person(image, image_id=name)]
        left, top, right, bottom = image_box(image.shape[:2])
        for box in boxes.get(name, []):
            if box[0] < right and box[1] < bottom and box[2] > left and box[3] > top:
                people.append(Person(image, np.array(box, dtype=np.float32), name, around))
            else:
                folder.report_failure(
                    f"Expected boxes that overlap {path} ({image.shape[1]} x {image.shape[0]} "
                    f"pixels), found {json.dumps(box)}; correct it in the --boxes file."
                )
        yield from people
        if not people:
            folder.add_overlay(name, image)
