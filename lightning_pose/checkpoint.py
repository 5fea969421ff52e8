"""Self-contained checkpoints that hold only data: the spec of a model, written, checked, rebuilt.

A checkpoint is Lightning's file plus one entry, the spec: which classes the model is made of and
the arguments of their constructors, as plain numbers, strings, lists and dicts. Reading one never
runs code that the file brings: tensors and plain data only (`weights_only`), and every class path
in the spec is compared with a list of trusted packages before anything is imported.
"""

import importlib
import inspect
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightning_pose.errors import InputError

__all__ = [
    "FORMAT",
    "SPEC_KEY",
    "TRUSTED",
    "check_class_path",
    "describe",
    "differences",
    "read",
    "rebuild",
]

FORMAT = 1
"""The number of the layout below, raised when an older reader could not understand a newer file."""

SPEC_KEY = "lightning_pose"
"""The checkpoint's entry that holds {"format": int, "model": {...}}."""

TRUSTED = ("lightning_pose", "torch.nn")
"""Packages, with what is below them, whose classes a spec may name; the caller can name more.

Encoders and decoders of timm and smp are named inside `SMPBackbone`. Their own classes are not
here, since a constructor of theirs can download what its arguments say.
"""


def describe(part: nn.Module) -> dict[str, Any]:
    """Write a backbone, head or weighting as the class path and arguments that make it again.

    The arguments are read from the attributes of the same names. `pretrained` becomes None: the
    checkpoint itself brings the weights.

    Args:
        part: The module; arguments that are modules themselves are described in the same way.

    Returns:
        {"class_path": str, "init_args": dict} of plain data.

    Raises:
        InputError: An argument was not kept as an attribute, or is not plain data.

    Example:
        >>> from lightning_pose.weightings import FixedWeighting
        >>> describe(FixedWeighting({"mask": 0.5}))["init_args"]
        {'weights': {'mask': 0.5}}
    """
    kind = type(part)
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue  # nn.Module's own, where a part has no constructor.
        if not hasattr(part, name):
            raise InputError(
                f"Expected {kind.__qualname__} to keep its argument {name!r} as an attribute, "
                f"found none; set self.{name} in its constructor: a checkpoint is written from it."
            )
        value = None if name == "pretrained" else getattr(part, name)
        arguments[name] = _plain(value, f"{kind.__qualname__}.{name}")
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": arguments}


def _plain(value: Any, where: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, float):
        return float(value)  # NumPy's is one too, but `weights_only` would refuse the file.
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, where) for key, item in value.items()}
    raise InputError(
        f"Expected plain data or a module in {where}, found {type(value).__name__}; a checkpoint "
        "holds only numbers, strings, lists, dicts and modules made of them."
    )


def check_class_path(class_path: str, trusted: Sequence[str] = TRUSTED) -> None:
    """Refuse a class from a package that is not trusted, without importing anything.

    Args:
        class_path: A dotted path such as "lightning_pose.heads.mask.MaskHead".
        trusted: The packages that may be imported, with what is below them.

    Raises:
        InputError: The path is below none of them.

    Example:
        >>> check_class_path("os.system")
        Traceback (most recent call last):
        ...
        lightning_pose.errors.InputError: Expected a class from one of lightning_pose, ...
    """
    if not class_path.startswith(tuple(f"{package}." for package in trusted)):
        raise InputError(
            f"Expected a class from one of {', '.join(trusted)}, found {class_path!r}; only if you "
            "trust that code, allow its package (`--allow` of predict, `allow=` in Python, and for "
            "the other commands a --config that names the class)."
        )


def _class_paths(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        if "class_path" in spec:
            yield str(spec["class_path"])
        for value in spec.values():
            yield from _class_paths(value)
    elif isinstance(spec, list | tuple):
        for value in spec:
            yield from _class_paths(value)


def _is_model(spec: Any) -> bool:
    """Whether a spec has the keys and the plain types that `PoseModule.spec` writes."""
    keys = {"backbone", "heads", "main_head", "weighting", "skeleton", "input_size", "mean", "std"}
    # Files from before it was written lack it; it is 1.25 then, the default.
    optional = {"enlarge"}
    if not isinstance(spec, dict) or set(spec) - optional != keys:
        return False
    if not isinstance(spec["heads"], dict):
        return False
    parts = [spec["backbone"], spec["weighting"], *spec["heads"].values()]
    return (
        all(
            isinstance(part, dict)
            and set(part) == {"class_path", "init_args"}
            and isinstance(part["class_path"], str)
            and isinstance(part["init_args"], dict)
            for part in parts
        )
        and isinstance(spec["skeleton"], dict)
        and all(isinstance(spec[key], list) for key in ("input_size", "mean", "std"))
        and all(len(spec[key]) == 3 for key in ("mean", "std"))
        and isinstance(spec.get("enlarge", 1.0), float)
    )


def rebuild(spec: dict[str, Any], kind: type[nn.Module]) -> Any:
    """Make the part that `describe` wrote; the caller has checked the spec with `read`.

    Args:
        spec: {"class_path": str, "init_args": dict}.
        kind: The class that the part must be an instance of.

    Returns:
        A new part with fresh weights.

    Raises:
        InputError: There is no such class, or it is of another kind, or refuses the arguments.

    Example:
        >>> from lightning_pose.weightings import FixedWeighting, Weighting
        >>> rebuild(describe(FixedWeighting({"mask": 0.5})), Weighting).weights
        {'mask': 0.5}
    """
    module_name, _, class_name = spec["class_path"].rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"Expected to find the class {spec['class_path']} that the checkpoint names, found "
            f"{error}; install the version of the package that wrote it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise InputError(
            f"Expected {spec['class_path']} in the checkpoint to be a {kind.__name__}, found "
            f"{type(found).__name__} of another kind; the checkpoint is damaged, or a trick."
        )
    arguments = {name: _rebuild_value(value) for name, value in spec["init_args"].items()}
    if "pretrained" in arguments:
        # Never written, and never believed: it could name a download or any file of this machine.
        arguments["pretrained"] = None
    try:
        return found(**arguments)
    except InputError:
        raise
    # What constructors say of arguments that are not theirs, or of the wrong type.
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Expected arguments that {class_name} takes, found {sorted(arguments)} ({error}); "
            "install the version of the package that wrote the checkpoint."
        ) from error


def _rebuild_value(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"class_path", "init_args"}:
        return rebuild(value, nn.Module)
    if isinstance(value, dict):
        return {key: _rebuild_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rebuild_value(item) for item in value]
    return value


def read(path: str | Path, allow: Sequence[str] = ()) -> dict[str, Any]:
    """Read a checkpoint file as data, and check its spec before anything in it is imported.

    Args:
        path: The file.
        allow: Packages to trust beside `TRUSTED`.

    Returns:
        The checkpoint with its tensors on the CPU: "state_dict", the spec under `SPEC_KEY`, and
        Lightning's other entries.

    Raises:
        InputError: The file is missing or damaged, holds more than data, is no checkpoint of ours,
            is of a newer format, or names a class of a package that is not trusted.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a checkpoint file, found nothing at {path}; check the path.")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"Expected a checkpoint of tensors and plain data, found something else in {path}; it "
            "was refused, because loading other objects could run code."
        ) from error
    except OSError as error:
        raise InputError(
            f"Expected to read the checkpoint {path}, found that it cannot be opened "
            f"({error.strerror or error}); check its permissions."
        ) from error
    except MemoryError:
        raise
    # Python's documentation lists no end of what unpickling damaged bytes may raise.
    except Exception as error:
        raise InputError(
            f"Expected a checkpoint file, found a damaged or foreign file at {path}; copy it again."
        ) from error
    spec = checkpoint.get(SPEC_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(spec, dict):
        raise InputError(
            f"Expected a checkpoint written by lightning_pose, found one without its spec at "
            f"{path}; train the model with `lightning fit`."
        )
    if not isinstance(spec.get("format"), int) or not 1 <= spec["format"] <= FORMAT:
        raise InputError(
            f"Expected a checkpoint of format 1 to {FORMAT}, found format {spec.get('format')} in "
            f"{path}; install a newer lightning_pose."
        )
    for class_path in _class_paths(spec):
        check_class_path(class_path, (*TRUSTED, *allow))
    if not (_is_model(spec.get("model")) and isinstance(checkpoint.get("state_dict"), dict)):
        raise InputError(
            f"Expected the spec of a model and its weights in {path}, found them incomplete; the "
            "checkpoint is damaged, or a trick."
        )
    return checkpoint


def differences(ours: Any, theirs: Any, where: str = "model") -> Iterator[str]:
    """Say where two specs differ, as dotted keys with both values, for error messages.

    Args:
        ours: The spec of the model at hand.
        theirs: The spec in a checkpoint.
        where: The key that both are under.

    Yields:
        One phrase a difference.

    Example:
        >>> list(differences({"width": 64}, {"width": 32}))
        ['model.width (64 here, 32 in the checkpoint)']
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            missing = "nothing"
            yield from differences(
                ours.get(key, missing), theirs.get(key, missing), f"{where}.{key}"
            )
    elif ours != theirs:
        short = [
            str(value) if len(str(value)) < 60 else "another value" for value in (ours, theirs)
        ]
        yield f"{where} ({short[0]} here, {short[1]} in the checkpoint)"
