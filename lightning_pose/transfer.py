"""Start from another model's weights: layers match by name, and rows by the names of joints."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_pose.errors import CheckpointError, printable
from lightning_pose.heads.base import Head
from lightning_pose.module import PoseModule

__all__ = ["init_from"]


@torch.no_grad()
def init_from(model: PoseModule, path: str | Path, allow: Sequence[str] = ()) -> str:
    """Load the weights of a checkpoint into a model, as far as they mean the same there.

    The backbones must match. A head takes the weights of the head with the same name and class;
    where the joints differ, rows carry over by the names of the joints. Other heads, and joints
    that are not in the checkpoint, keep their initial weights.

    Args:
        model: The model; its weights change.
        path: The checkpoint.
        allow: Packages to trust in addition to `parts.TRUSTED`.

    Returns:
        A sentence that says what was loaded.

    Raises:
        CheckpointError: The file cannot be used, or backbone, normalisation, the classes of a label
            or a head do not fit.
    """
    other = PoseModule.load_from_checkpoint(path, allow=allow)
    if (model.mean, model.std) != (other.mean, other.std):
        raise CheckpointError(
            f"Expected images normalised by mean {list(model.mean)} and std {list(model.std)} in "
            f"{path}, found {list(other.mean)} and {list(other.std)}; set model.mean and model.std "
            "to the values found."
        )
    theirs = other.network.backbone.state_dict()
    for name, value in model.network.backbone.state_dict().items():
        _copy(value, theirs.get(name), f"backbone.{name}", path)
    for name, classes in model.labels.items():
        if other.labels.get(name, classes) != classes:
            raise CheckpointError(
                f"Expected the classes {classes} of {name} in {path}, found {other.labels[name]}; "
                "order them alike."
            )
    taken, left = ["the backbone"], []
    for name, head in model.heads.items():
        donor = other.heads.get(name)
        if donor is None or type(donor) is not type(head) or name in other.untrained:
            left.append(name)
            continue
        rows = _carry_over(head, donor, f"heads.{name}", path)
        taken.append(f"{name}{rows}")
        model.assume_trained([name])
    kept = f"; {', '.join(left)} with initial weights" if left else ""
    return printable(f"Weights from {path}: {', '.join(taken)}{kept}.")


def _carry_over(head: Head, donor: Head, where: str, path: str | Path) -> str:
    """Copy a head's weights; report how many of its joints they cover if that is not all."""
    if head.steps != donor.steps:
        raise CheckpointError(
            f"Expected {where} to predict {', '.join(donor.steps)} in this order, as in {path}, "
            f"found {', '.join(head.steps)}; set its order to that of the checkpoint, or rename "
            "the head so that it starts from initial weights."
        )
    if head.label != donor.label:
        raise CheckpointError(
            f"Expected {where} to predict the label {donor.label}, as in {path}, found "
            f"{head.label}; rename the head so that it starts from initial weights."
        )
    ours, theirs = head.joint_rows(), donor.joint_rows()
    state = donor.state_dict()
    note = ""
    for name, value in head.state_dict().items():
        if name not in ours:
            _copy(value, state.get(name), f"{where}.{name}", path)
            continue
        if name not in state or state[name].shape[1:] != value.shape[1:]:
            _refuse(value, state.get(name), f"{where}.{name}", path)
        places = {row: place for place, row in enumerate(theirs[name])}
        known = [row for row in ours[name] if row in places]
        into = [place for place, row in enumerate(ours[name]) if row in places]
        value[into] = state[name][[places[row] for row in known]]
        if len(known) < len(ours[name]):
            note = f" ({len(known)} of {len(ours[name])} rows)"
    return note


def _copy(value: Tensor, other: Tensor | None, where: str, path: str | Path) -> None:
    if other is None or other.shape != value.shape:
        _refuse(value, other, where, path)
    else:
        value.copy_(other)


def _refuse(value: Tensor, other: Tensor | None, where: str, path: str | Path) -> None:
    found = "no such tensor" if other is None else f"shape {tuple(other.shape)}"
    raise CheckpointError(
        f"Expected {where} of shape {tuple(value.shape)} in {path}, found {found}; use the "
        "settings of the checkpoint's model, or leave out --init_from."
    )
