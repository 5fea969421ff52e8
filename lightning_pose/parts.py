"""A part of a model as plain data: its class path and the arguments of its constructor."""

import importlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from lightning_pose.errors import CheckpointError

__all__ = [
    "TRUSTED",
    "check_class_paths",
    "describe",
    "is_part",
    "rebuild",
    "without_weight_sources",
]

TRUSTED = ("lightning_pose", "torch.nn")
"""Packages, with their subpackages, whose classes a spec may name; the caller can name more.

Encoders and decoders of timm and smp are named inside `SMPBackbone`. Their own classes are not
listed here, because their constructors may download whatever their arguments name.
"""

# Far beyond any model; a list that contains itself, or lists that share lists, have no end.
_LARGEST_DEPTH, _MOST_VALUES = 50, 100_000


def describe(part: nn.Module) -> dict[str, Any]:
    """Describe a backbone, head, weighting or metric by its class path and constructor arguments.

    The arguments are read from the attributes of the same names. Those that the class lists in
    `weight_sources` become None, because the checkpoint contains the weights.

    Args:
        part: The module; arguments that are modules themselves are described in the same way.

    Returns:
        {"class_path": str, "init_args": dict} of plain data.

    Raises:
        CheckpointError: An argument was not kept as an attribute, or is not plain data.

    Example:
        >>> from lightning_pose.weightings import FixedWeighting
        >>> describe(FixedWeighting({"mask": 0.5}))["init_args"]
        {'weights': {'mask': 0.5}}
    """
    kind = type(part)
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue  # nn.Module's own, if a part has no constructor.
        if not hasattr(part, name):
            raise CheckpointError(
                f"Expected {kind.__qualname__} to keep its argument {name!r} as an attribute, "
                f"found none; set self.{name} in its constructor: a checkpoint is written from it."
            )
        value = None if name in _weight_sources(kind) else getattr(part, name)
        arguments[name] = _plain(value, f"{kind.__qualname__}.{name}")
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": arguments}


def _weight_sources(kind: type) -> tuple[str, ...]:
    sources: tuple[str, ...] = getattr(kind, "weight_sources", ())
    return sources


def _plain(value: Any, where: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, float):
        return float(value)  # Also for NumPy's float64, which `weights_only` would refuse.
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, where) for key, item in value.items()}
    raise CheckpointError(
        f"Expected plain data or a module in {where}, found {type(value).__name__}; a checkpoint "
        "holds only numbers, strings, lists, dicts and modules made of them."
    )


def without_weight_sources(spec: dict[str, Any]) -> dict[str, Any]:
    """Clear the arguments of a part that say where its initial weights come from.

    A checkpoint contains the weights, and an untrusted file could name a download or a local file.

    Args:
        spec: A part whose class paths were checked.

    Returns:
        A copy of the part, with None for those arguments.

    Raises:
        CheckpointError: There is no such class.
    """
    blank = {name: None for name in _weight_sources(_find(spec)) if name in spec["init_args"]}
    return {**spec, "init_args": {**spec["init_args"], **blank}}


def is_part(value: Any) -> bool:
    """Whether a value has the form that `describe` writes."""
    return (
        isinstance(value, dict)
        and set(value) == {"class_path", "init_args"}
        and isinstance(value["class_path"], str)
        and isinstance(value["init_args"], dict)
    )


def check_class_paths(spec: Any, allow: Iterable[str] = ()) -> None:
    """Refuse a spec that names a class of an untrusted package; import nothing.

    Args:
        spec: Plain data, in which "class_path" may occur at any depth.
        allow: Packages to trust in addition to `TRUSTED`, with their subpackages.

    Raises:
        CheckpointError: A class path is outside all of them.

    Example:
        >>> check_class_paths({"class_path": "os.system"})
        Traceback (most recent call last):
        ...
        lightning_pose.errors.CheckpointError: Expected a class from one of lightning_pose, ...
    """
    trusted = (*TRUSTED, *allow)
    for class_path in _class_paths(spec):
        if not class_path.startswith(tuple(f"{package}." for package in trusted)):
            raise CheckpointError(
                f"Expected a class from one of {', '.join(trusted)}, found {class_path!r}; only if "
                "you trust that code, allow its package (`--allow` on the command line, `allow=` "
                "in Python, and for fit a --config that names the class)."
            )


def _class_paths(spec: Any) -> Iterator[str]:
    """Every class path in a spec, which may be built to be endless or to take forever."""
    left: list[tuple[Any, int]] = [(spec, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if depth > _LARGEST_DEPTH or seen > _MOST_VALUES:
            raise CheckpointError(
                "Expected the spec of a model in the checkpoint, found one nested too deeply or "
                "too large; the checkpoint is damaged or malicious, use another."
            )
        if isinstance(value, dict):
            if "class_path" in value:
                yield str(value["class_path"])
            left += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            left += [(item, depth + 1) for item in value]


def rebuild(spec: dict[str, Any], kind: type[nn.Module]) -> Any:
    """Rebuild the part that `describe` wrote; the caller has checked its class paths.

    Args:
        spec: {"class_path": str, "init_args": dict}.
        kind: The class that the part must be an instance of.

    Returns:
        A new part with fresh weights.

    Raises:
        CheckpointError: There is no such class, or it is of the wrong kind, or rejects the
            arguments.

    Example:
        >>> from lightning_pose.weightings import FixedWeighting, Weighting
        >>> rebuild(describe(FixedWeighting({"mask": 0.5})), Weighting).weights
        {'mask': 0.5}
    """
    found = _find(spec)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise CheckpointError(
            f"Expected {spec['class_path']} in the checkpoint to be a {kind.__name__}, found "
            f"{found!r}; the checkpoint is damaged or malicious, use another."
        )
    known = without_weight_sources(spec)["init_args"]
    arguments = {name: _rebuild_value(value) for name, value in known.items()}
    try:
        return found(**arguments)
    # Raised by constructors for unknown arguments, or for arguments of the wrong type or value.
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"Expected arguments that {found.__name__} takes, found {sorted(arguments)} ({error}); "
            "install the version of the package that wrote the checkpoint."
        ) from error


def _find(spec: dict[str, Any]) -> Any:
    module_name, _, class_name = spec["class_path"].rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"Expected to find the class {spec['class_path']} that the checkpoint names, found "
            f"{error}; install the version of the package that wrote it."
        ) from error


def _rebuild_value(value: Any) -> Any:
    if is_part(value):
        return rebuild(value, nn.Module)
    if isinstance(value, dict):
        return {key: _rebuild_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rebuild_value(item) for item in value]
    return value
