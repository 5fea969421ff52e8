"""`lightning prepare`: joints and masks for a folder of images, made by trained models."""

import argparse
import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.errors import ConfigError, DataError, InputError, printable

if TYPE_CHECKING:
    from rich.console import Console

    from lightning_pose.commands.labels_folder import LabelsFolder
    from lightning_pose.teachers import MaskTeacher, OpenPoseTeacher, PoseTeacher

__all__ = ["main"]

_DESCRIPTION = """\
Label the people in a folder of images, to train on: joints from Keypoint R-CNN and masks from
Mask R-CNN, both of torchvision and trained on COCO, or joints from the files of OpenPose.

The output folder gets
  people.json    all people in COCO's format, with the 17 joints of COCO or the 25 of BODY_25;
                 COCODataModule reads it
  labels/        the same per image; each file says what made it: teachers, versions, checksums of
                 the weights, thresholds, and the date
  sheet.jpg      people from all over the images, to look at
  doubtful.jpg   the people with the lowest scores

If the command is stopped, run it again: images that have labels are not labelled again. These
labels are not those of people: look at the sheets before you train on them.
"""


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning prepare`.

    Args:
        command: "prepare".
        argv: The arguments after it.

    Returns:
        The exit status: 0, or 1 where an image could not be used.

    Raises:
        InputError: An option, the weights, the device or a folder cannot be used, or there is
            nobody in the images.
    """
    options = _parser(command).parse_args(argv)
    # First check everything that does not need torch.
    _check(options)
    names = _find_images(options.images)
    # Imported here, so that --help and wrong arguments are answered at once.
    from rich.console import Console

    from lightning_pose.commands.label_sheets import write_sheets
    from lightning_pose.commands.labels_folder import LabelsFolder
    from lightning_pose.teachers import OpenPoseTeacher

    poses, masks = _teachers(options)
    console = Console(stderr=True)
    if isinstance(poses, OpenPoseTeacher):
        names = _with_keypoints(names, poses, console)
    with LabelsFolder(options.output, poses.skeleton, _about(poses, masks)) as folder:
        failures = _label(options.images, names, folder, poses, masks, console)
        scores = folder.write_people(names)
        if not len(scores):
            raise DataError(
                f"Expected people in the images of {options.images}, found nobody; give other "
                "images, or a lower --person_score."
            )
        write_sheets(folder.people, options.images, scores)
    print(_summary(options, len(scores), len(names) - failures))
    return 1 if failures else 0


def _parser(command: str) -> argparse.ArgumentParser:
    parser = make_parser(command, _DESCRIPTION)
    add = parser.add_argument
    add("--images", required=True, type=Path, metavar="FOLDER", help="the folder of the images")
    add(
        "--output", required=True, type=Path, metavar="FOLDER",
        help="a new folder, or that of an interrupted run with the same options, to resume it",
    )  # fmt: skip
    add(
        "--keypointrcnn", type=Path, metavar="FILE",
        help="weights of torchvision's keypointrcnn_resnet50_fpn; by default the published ones, "
        "downloaded once",
    )  # fmt: skip
    add(
        "--maskrcnn", type=Path, metavar="FILE",
        help="weights of torchvision's maskrcnn_resnet50_fpn; by default the published ones",
    )  # fmt: skip
    add(
        "--openpose", type=Path, metavar="FOLDER",
        help="take the joints from OpenPose's NAME_keypoints.json (BODY_25) in this folder; images "
        "without such a file are left out",
    )  # fmt: skip
    add("--masks", choices=["true", "false"], default="true", help="find masks (default: true)")
    add(
        "--person_score", type=float, default=0.9, metavar="S",
        help="lowest detection score of a person, 0 to 1 (default: 0.9)",
    )  # fmt: skip
    add(
        "--joint_score", type=float, metavar="S",
        help="leave joints with a lower score unlabelled: a logit of Keypoint R-CNN (default: 2), "
        "or the confidence of OpenPose (default: all above 0)",
    )  # fmt: skip
    add(
        "--mask_score", type=float, default=0.5, metavar="P",
        help="pixels with a lower probability are background (default: 0.5)",
    )  # fmt: skip
    add("--device", default="auto", help="cpu, cuda, ...; default: a GPU if there is one, else cpu")
    return parser


def _check(options: argparse.Namespace) -> None:
    for name in ("person_score", "mask_score"):
        value = getattr(options, name)
        if not 0 < value < 1:
            raise ConfigError(f"Expected --{name} between 0 and 1, found {value}; correct it.")
    if options.joint_score is not None and not math.isfinite(options.joint_score):
        raise ConfigError(
            f"Expected a number as --joint_score, found {options.joint_score}; correct it."
        )
    for option, needless in (("keypointrcnn", options.openpose), ("maskrcnn", not _masks(options))):
        if getattr(options, option) is not None and needless:
            other = "--openpose" if option == "keypointrcnn" else "--masks false"
            raise ConfigError(
                f"Expected either --{option} or {other}, found both; leave one of them out."
            )


def _masks(options: argparse.Namespace) -> bool:
    return bool(options.masks == "true")


def _find_images(folder: Path) -> list[str]:
    """The names of the images, sorted."""
    from lightning_pose.datasets.coco_file import is_below
    from lightning_pose.datasets.images import image_suffixes

    if not folder.is_dir():
        raise ConfigError(f"Expected a folder of images at {folder}, found none; correct --images.")
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in image_suffixes() and path.name[0] != "." and path.is_file()
    )
    if not names:
        raise DataError(
            f"Expected images in the folder {folder}, found none; give the folder that holds the "
            "files themselves."
        )
    for name in names:
        if not is_below(name):
            raise DataError(
                f"Expected names of images that every system can use, found {name!r} in {folder}; "
                "rename it."
            )
    return names


def _teachers(options: argparse.Namespace) -> tuple["PoseTeacher", "MaskTeacher | None"]:
    from lightning_pose import teachers
    from lightning_pose.commands.device import choose_device

    # An option that is not given leaves the teacher its own default.
    joint_score = {} if options.joint_score is None else {"joint_score": options.joint_score}
    if options.openpose is not None and not _masks(options):
        return teachers.OpenPoseTeacher(options.openpose, **joint_score), None
    device = choose_device(options.device)
    poses: PoseTeacher
    if options.openpose is not None:
        poses = teachers.OpenPoseTeacher(options.openpose, **joint_score)
    else:
        weights, score = options.keypointrcnn, options.person_score
        poses = teachers.KeypointRCNNTeacher(weights, score, device=device, **joint_score)
    if not _masks(options):
        return poses, None
    masks = teachers.MaskRCNNTeacher(
        options.maskrcnn, options.person_score, options.mask_score, device
    )
    return poses, masks


def _about(poses: "PoseTeacher", masks: "MaskTeacher | None") -> dict[str, Any]:
    from lightning_pose import __version__

    return {
        "lightning_pose": __version__,
        "joints": poses.about,
        "masks": None if masks is None else masks.about,
    }


def _label(
    images: Path,
    names: Sequence[str],
    folder: "LabelsFolder",
    poses: "PoseTeacher",
    masks: "MaskTeacher | None",
    console: "Console",
) -> int:
    """Label the images that have no labels yet; returns how many could not be."""
    from rich.progress import Progress

    from lightning_pose.datasets.images import read_image
    from lightning_pose.teachers import pair

    failures = 0
    todo = [name for name in names if not folder.is_done(name)]
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Images", total=len(names), completed=len(names) - len(todo))
        for name in todo:
            try:
                image, _ = read_image(images / name)
                found = poses(image, name)
                people = pair(found, None if masks is None else masks(image))
                folder.add(name, (image.shape[0], image.shape[1]), people)
            except InputError as error:
                failures += 1
                _report(console, str(error))
            progress.advance(task)
    return failures


def _with_keypoints(
    names: Sequence[str], teacher: "OpenPoseTeacher", console: "Console"
) -> list[str]:
    """The images that have a file of OpenPose."""
    kept = [name for name in names if teacher.file(name).is_file()]
    if not kept:
        raise DataError(
            f"Expected files such as {teacher.file(names[0]).name} in {teacher.folder}, found none "
            "with the name of an image; correct --openpose."
        )
    if len(kept) < len(names):
        missing = min(set(names) - set(kept))
        _report(
            console,
            f"{len(names) - len(kept)} of {len(names)} images have no file of keypoints and are "
            f"left out, the first {missing!r}.",
        )
    return kept


def _report(console: "Console", sentence: str) -> None:
    """Print a sentence without disturbing the progress bar."""
    text = f"lightning prepare: {printable(sentence)}"
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _summary(options: argparse.Namespace, people: int, images: int) -> str:
    """What was written, and how to train on it."""
    data = shlex.quote(json.dumps(["people.json", str(options.images.resolve())]))
    command = (
        "lightning fit --config combined.yaml --config data/coco.yaml "
        f"--data.root {shlex.quote(str(options.output))} --data.train {data} "
        "--data.splits [0.8,0.1,0.1]"
    )
    return (
        f"Labels of {people} {'person' if people == 1 else 'people'} in {images} "
        f"{'image' if images == 1 else 'images'}: {options.output / 'people.json'}\n"
        f"Look at them first: {options.output / 'sheet.jpg'}, {options.output / 'doubtful.jpg'}\n"
        f"Then train on them: {command}"
    )
