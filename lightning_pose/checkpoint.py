"""Self-contained checkpoints that hold only data: writing, checking and reading a model's spec.

A checkpoint is Lightning's file plus one entry, the spec: the classes that the model is made of and
their constructor arguments, as plain numbers, strings, lists and dicts. Reading a checkpoint never
runs code from the file: only tensors and plain data are loaded (`weights_only`), and every class
path in the spec is checked against a list of trusted packages before anything is imported.
"""

import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_pose import parts
from lightning_pose.errors import CheckpointError, printable
from lightning_pose.formats import FORMAT, SPEC_KEY, upgrade
from lightning_pose.model_spec import ModelSpec

__all__ = [
    "SPEC_KEY",
    "check_compatible",
    "check_content",
    "differences",
    "entry",
    "read",
    "read_spec",
    "spec_of",
]


def read(path: str | Path, allow: Sequence[str] = ()) -> dict[str, Any]:
    """Read a checkpoint file as data, and check its spec before anything in it is imported.

    Args:
        path: The file.
        allow: Packages to trust in addition to `parts.TRUSTED`.

    Returns:
        The checkpoint with its tensors on the CPU: "state_dict", the spec under `SPEC_KEY`, and
        Lightning's other entries.

    Raises:
        CheckpointError: The file is missing or damaged, holds more than data, is not a checkpoint
            of this package, is of a newer format, or names a class of a package that is not
            trusted.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"Expected a checkpoint file, found nothing at {path}; check the path."
        )
    try:
        _check_archive(path)
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"Expected a checkpoint of tensors and plain data, found other objects in {path}, "
            "whose loading could run code; use a checkpoint that `lightning fit` wrote."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"Expected to read the checkpoint {path}, found that it cannot be opened "
            f"({error.strerror or error}); check its permissions."
        ) from error
    except (CheckpointError, MemoryError):
        raise
    # Python's documentation does not limit what unpickling damaged bytes may raise.
    except Exception as error:
        raise CheckpointError(
            f"Expected a checkpoint, found a damaged or different file at {path}; copy it again."
        ) from error
    check_content(checkpoint, str(path), allow)
    return checkpoint


def _check_archive(path: Path) -> None:
    """Refuse an archive whose checksums do not fit, or that is larger than its file.

    torch stores weights uncompressed and does not compare checksums. Checkpoints of torch before
    1.6 are no archives.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        packed = [one.filename for one in archive.infolist() if one.compress_type]
        if packed:
            raise CheckpointError(
                f"Expected a checkpoint whose parts are stored as they are, found {packed[0]} "
                f"compressed in {path}; save it again with torch.save."
            )
        if sum(one.file_size for one in archive.infolist()) > path.stat().st_size:
            raise CheckpointError(
                f"Expected a checkpoint no larger than its file, found parts of {path} that "
                "overlap; copy it again from its source."
            )
        damaged = archive.testzip()
    if damaged is not None:
        raise CheckpointError(
            f"Expected a whole checkpoint at {path}, found a wrong checksum for {damaged}; copy it "
            "again."
        )


def check_content(checkpoint: Any, where: str, allow: Iterable[str] = ()) -> None:
    """Check the spec of a checkpoint before anything in it is imported; update older formats.

    Args:
        checkpoint: The content of the file, which is upgraded to the current format in place.
        where: The file, for error messages.
        allow: Packages to trust in addition to `parts.TRUSTED`.

    Raises:
        CheckpointError: It is not a checkpoint of this package, is of a newer format, is damaged,
            or names a class of a package that is not trusted.
    """
    spec = checkpoint.get(SPEC_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(spec, dict):
        raise CheckpointError(
            f"Expected a checkpoint written by lightning_pose, found one without its spec at "
            f"{where}; train the model with `lightning fit`."
        )
    if not isinstance(spec.get("format"), int) or not 1 <= spec["format"] <= FORMAT:
        raise CheckpointError(
            f"Expected a checkpoint of format 1 to {FORMAT}, found format {spec.get('format')} in "
            f"{where}; install a newer lightning_pose."
        )
    parts.check_class_paths(spec, allow)
    state = checkpoint.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(
            f"Expected weights by name in {where}, found none; the checkpoint is damaged, copy it "
            "again."
        )
    upgrade(checkpoint)


def read_spec(path: str | Path, allow: Sequence[str] = ()) -> ModelSpec:
    """The spec of a checkpoint file, see `read`."""
    return spec_of(read(path, allow))


def entry(spec: ModelSpec) -> dict[str, Any]:
    """What a checkpoint holds under `SPEC_KEY`."""
    return {"format": FORMAT, "model": spec.to_dict()}


def spec_of(checkpoint: Mapping[str, Any]) -> ModelSpec:
    """The spec in a checkpoint that `read` has checked.

    Raises:
        CheckpointError: The spec is damaged.
    """
    return ModelSpec.from_dict(checkpoint[SPEC_KEY]["model"])


def check_compatible(
    ours: ModelSpec, state: Mapping[str, Tensor], checkpoint: dict[str, Any]
) -> list[str]:
    """Refuse a checkpoint whose weights do not fit a model, or mean something else in it.

    Args:
        ours: The model's spec.
        state: The model's state dict.
        checkpoint: The checkpoint as Lightning passes it; it is upgraded to the current format.

    Returns:
        The remaining differences, such as dropout, decoding or limb colours.

    Raises:
        CheckpointError: Names or shapes of tensors differ, or the joints, the classes of labels, or
            the normalisation do.
    """
    check_content(checkpoint, "the checkpoint", ours.packages)
    theirs = spec_of(checkpoint)
    found = list(differences(ours.to_dict(), theirs.to_dict()))
    shapes, other = (
        {f"tensor {name}": tuple(value.shape) for name, value in weights.items()}
        for weights in (state, checkpoint["state_dict"])
    )
    meaning = ("model.skeleton.names", "model.labels", "model.mean", "model.std")
    refused = [phrase for phrase in found if phrase.startswith(meaning)]
    if shapes != other:
        tensors = list(differences(shapes, other, ""))
        # The setting behind a tensor tells more, where there is one.
        places = {"backbone": "model.backbone", "heads": "model.heads"}
        parts_of = {key for key in places for phrase in tensors if f"network.{key}." in phrase}
        settings = [p for key in parts_of for p in found if p.startswith(places[key])]
        refused += settings or tensors
    if refused:
        raise CheckpointError(
            "Expected a checkpoint of this model, found one of another model: "
            f"{'; '.join(refused[:3])}; use the config that it was trained with."
        )
    return [phrase for phrase in found if not phrase.startswith("model.untrained")]


def differences(
    ours: Any,
    theirs: Any,
    where: str = "model",
    places: tuple[str, str] = ("here", "in the checkpoint"),
) -> Iterator[str]:
    """Describe where two specs differ, as dotted keys with both values.

    Args:
        ours: The spec of this model.
        theirs: The spec in a checkpoint.
        where: The key under which both are found.
        places: How to refer to the two specs in the message.

    Yields:
        One phrase per difference.

    Example:
        >>> list(differences({"width": 64}, {"width": 32}))
        ['model.width (64 here, 32 in the checkpoint)']
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            missing = "nothing"
            yield from differences(
                ours.get(key, missing),
                theirs.get(key, missing),
                f"{where}.{key}".lstrip("."),
                places,
            )
    elif ours != theirs:
        short = [
            printable(str(value)) if len(str(value)) < 60 else "another value"
            for value in (ours, theirs)
        ]
        yield f"{printable(where)} ({short[0]} {places[0]}, {short[1]} {places[1]})"
