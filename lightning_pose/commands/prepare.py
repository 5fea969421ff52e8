"""`lightning prepare`: joints and masks for a folder of images, made by trained models."""

import argparse
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.commands.prepare_sources import checksums, find_images, with_keypoints
from lightning_pose.errors import ConfigError, DataError, InputError, printable

if TYPE_CHECKING:
    from rich.console import Console

    from lightning_pose.commands.labels_folder import LabelsFolder
    from lightning_pose.teachers import MaskTeacher, PoseTeacher

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

If the command is stopped, run it again: images that have labels are not labelled again, unless they
were replaced. Correct the labels in a copy of people.json. Models made these labels, not people:
look at the sheets before you train on them.
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
    names, others = find_images(options.images)
    # Imported here, so that --help and wrong arguments are answered at once.
    from rich.console import Console

    from lightning_pose.commands.label_sheets import write_sheets
    from lightning_pose.commands.labels_folder import LabelsFolder
    from lightning_pose.teachers import OpenPoseTeacher

    poses, masks = _teachers(options)
    console = Console(stderr=True)
    sources = {name: [options.images / name] for name in names}
    if isinstance(poses, OpenPoseTeacher):
        sources, missing = with_keypoints(sources, poses)
        # They may lie beside the images.
        keypoints = {file.name for files in sources.values() for file in files[1:]}
        others = [name for name in others if name not in keypoints]
        if missing:
            _report(
                console,
                f"images without a file of keypoints are left out: {len(missing)} of {len(names)}, "
                f"the first {missing[0]!r}.",
            )
    if others:
        _report(
            console,
            f"files of {options.images} that are not images are left out: {len(others)}, the first "
            f"{others[0]!r}.",
        )
    with LabelsFolder(options.output, poses.skeleton, _about(poses, masks)) as folder:
        labelled = _label(sources, folder, poses, masks, console)
        scores = folder.write_people(labelled)
        if not len(scores):
            raise DataError(
                f"Expected people in the images of {options.images}, found nobody; give other "
                "images, or a lower --person_score."
            )
        write_sheets(folder.people, options.images, scores)
    print(_summary(options, len(scores), len(labelled)))
    return 0 if len(labelled) == len(sources) else 1


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
    sources: Mapping[str, Sequence[Path]],
    folder: "LabelsFolder",
    poses: "PoseTeacher",
    masks: "MaskTeacher | None",
    console: "Console",
) -> list[str]:
    """Label the images that have no labels yet; returns the names of all that have some then.

    The sources of an image are its file, and after it others that its labels are made from.
    """
    from rich.progress import Progress

    from lightning_pose.datasets.images import read_image
    from lightning_pose.teachers import pair

    # Before the files are read, so that a later change is noticed.
    sums = {name: checksums(files) for name, files in sources.items()}
    todo = {name: files for name, files in sources.items() if not folder.is_done(name, sums[name])}
    failed = set()
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Images", total=len(sources), completed=len(sources) - len(todo))
        for name, files in todo.items():
            try:
                image, _ = read_image(files[0])
                found = poses(image, name)
                people = pair(found, None if masks is None else masks(image))
                folder.add(name, sums[name], (image.shape[0], image.shape[1]), people)
            except InputError as error:
                failed.add(name)
                _report(console, str(error))
            progress.advance(task)
    return [name for name in sources if name not in failed]


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
        "--data.splits '[0.8, 0.1, 0.1]'"
    )
    return (
        f"Labels of {people} {'person' if people == 1 else 'people'} in {images} "
        f"{'image' if images == 1 else 'images'}: {options.output / 'people.json'}\n"
        f"Look at them first: {options.output / 'sheet.jpg'}, {options.output / 'doubtful.jpg'}\n"
        f"Then train on them: {command}"
    )
