"""Skeletons of one's own: from a YAML file, by name, or from the names of the joints alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lightning_pose import skeletons
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import Skeleton

__all__ = ["check_sides", "read_skeleton", "unswapped_sides"]

_KEYS = ("names", "limbs", "head", "torso")


def read_skeleton(source: str | Path) -> Skeleton:
    """Find a skeleton by its name, or read it from a YAML file.

    All keys of the file but `names` may be left out:

        names: [left_knee, right_knee, left_foot, right_foot]
        limbs: [[left_knee, left_foot], [right_knee, right_foot]]
        head: [neck, head_top]
        torso: [right_shoulder, left_hip]

    Args:
        source: "LSP14", "MPII16", "COCO17", "BODY25", or the path of a YAML file.

    Returns:
        The skeleton; `Skeleton.from_names` says what follows from the names.

    Raises:
        ConfigError: There is no such skeleton or file, or the file cannot be used.
    """
    known = {name: value for name, value in vars(skeletons).items() if isinstance(value, Skeleton)}
    if str(source) in known:
        return known[str(source)]
    path = Path(source).expanduser()
    content = _read(path, known)
    names: Any = content.get("names")
    limbs: Any = content.get("limbs") or []
    segments = [content[key] for key in ("head", "torso") if content.get(key) is not None]
    is_known = set(content) <= set(_KEYS) and isinstance(limbs, list)
    if not is_known or not all(map(_are_texts, [names, *limbs, *segments])):
        raise ConfigError(
            f"Expected names (a list of joints) and optionally limbs (a list of pairs of joints), "
            f"head and torso (a pair each) in the skeleton {path}, found other keys or values; "
            "correct them, and put names such as 'yes' in quotes."
        )
    try:
        skeleton = Skeleton.from_names(names, limbs, content.get("head"), content.get("torso"))
    except ConfigError as error:
        raise ConfigError(f"{str(error).removesuffix('.')} in {path}.") from error
    check_sides(skeleton, path)
    return skeleton


def check_sides(skeleton: Skeleton, source: Path | None = None) -> None:
    """Refuse joints of two sides that a mirrored image would not swap, because of their names.

    Args:
        skeleton: The skeleton, made from names.
        source: The file that has the names; None where training may do without flips instead.

    Raises:
        ConfigError: Two names differ only in "l" and "r" or in "left" and "right", but do not start
            with "left_" and "right_".

    Example:
        >>> check_sides(Skeleton.from_names(["left_knee", "right_knee", "nose"]), Path("a.csv"))
        >>> check_sides(Skeleton.from_names(["LKnee", "RKnee", "nose"]), Path("a.csv"))
        Traceback (most recent call last):
        ...
        lightning_pose.errors.ConfigError: Expected the joints of two sides to be named left_NAME
        and right_NAME in a.csv, found 'LKnee' and 'RKnee'; rename them, so that a mirrored image
        swaps them.
    """
    if sides := unswapped_sides(skeleton):
        place, instead = (f" in {source}", "") if source else ("", ", or set data.flip to 0")
        raise ConfigError(
            f"Expected the joints of two sides to be named left_NAME and right_NAME{place}, found "
            f"{sides[0]!r} and {sides[1]!r}; rename them, so that a mirrored image swaps them"
            f"{instead}."
        )


def unswapped_sides(skeleton: Skeleton) -> tuple[str, str] | None:
    """Find two joints that are the sides of one by their names, but that a flip does not swap.

    Args:
        skeleton: The skeleton.

    Returns:
        The names of the left one and of the right one; None if there are no such joints.

    Example:
        >>> unswapped_sides(Skeleton.from_names(["left_hip", "right_hip", "LKnee", "RKnee"]))
        ('LKnee', 'RKnee')
    """
    paired = {joint for pair in skeleton.flip_pairs for joint in pair}
    names = {name.lower(): name for joint, name in enumerate(skeleton.names) if joint not in paired}
    for name in names:
        others = [name.replace("left", "right")]
        others += [f"{name[:i]}r{name[i + 1 :]}" for i, letter in enumerate(name) if letter == "l"]
        for other in others:
            if other != name and other in names:
                return names[name], names[other]
    return None


def _read(path: Path, known: Iterable[str]) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(
            f"Expected {', '.join(known)} or a YAML file as the skeleton, found no file {path}; "
            "correct the name or the path."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    # PyYAML also raises a ValueError, for a date that does not exist, and a RecursionError.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(
            f"Expected a skeleton as YAML in {path}, found that it cannot be read "
            f"({' '.join(str(error).split())}); correct the file."
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"Expected the keys {', '.join(_KEYS)} in the skeleton {path}, found a "
            f"{type(content).__name__}; correct the file."
        )
    return content


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
