"""Upgrades of older layouts of a checkpoint's spec to the current one."""

from collections.abc import Mapping
from typing import Any

import torch

from lightning_pose import parts
from lightning_pose.backbones.base import Backbone
from lightning_pose.errors import CheckpointError, InputError
from lightning_pose.input_spec import InputSpec
from lightning_pose.metrics.scores import default_metrics
from lightning_pose.skeletons import Skeleton

__all__ = ["FORMAT", "SPEC_KEY", "upgrade"]

FORMAT = 2
"""The number of the current layout, increased when older readers cannot read newer files."""

SPEC_KEY = "lightning_pose"
"""The checkpoint's entry that holds {"format": int, "model": {...}}."""


def upgrade(checkpoint: dict[str, Any]) -> None:
    """Upgrade a checkpoint to the current layout, in place.

    Args:
        checkpoint: The file's content, with checked class paths, because a part of it may be built.

    Raises:
        CheckpointError: The spec of an older format is damaged.
    """
    entry = checkpoint[SPEC_KEY]
    if entry["format"] == FORMAT:
        return
    try:
        model = _from_format_1(entry["model"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"Expected the spec of a model of format {entry['format']}, found it damaged "
            f"({error}); copy the file again."
        ) from error
    checkpoint[SPEC_KEY] = {"format": FORMAT, "model": model}
    # The network became a module of its own.
    checkpoint["state_dict"] = {
        f"network.{name}" if name.startswith(("backbone.", "heads.")) else name: value
        for name, value in checkpoint["state_dict"].items()
    }


def _from_format_1(model: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1 stored the input as two keys, and sigma in cells of the dense map."""
    size = InputSpec(size=tuple(model["input_size"]), enlarge=model.get("enlarge", 1.25))
    skeleton = Skeleton.from_dict(model["skeleton"])
    heads = model["heads"]
    try:
        with torch.device("meta"):  # The stride needs no weights, nor memory for them.
            stride = _stride(model["backbone"], size)
    # Some encoders look at the values of a tensor while they are built, which has none there.
    except (InputError, RuntimeError):
        stride = _stride(model["backbone"], size)
    return {
        "backbone": model["backbone"],
        "heads": {name: _sigma_in_pixels(head, stride) for name, head in heads.items()},
        "weighting": model["weighting"],
        "metrics": {n: parts.describe(metric) for n, metric in default_metrics(skeleton).items()},
        "skeleton": skeleton.to_dict(),
        "input_spec": size.to_dict(),
        "labels": {},
        "main_head": model["main_head"],
        "main_metric": None,
        "mean": model["mean"],
        "std": model["std"],
        "untrained": [],
    }


def _stride(backbone: dict[str, Any], size: InputSpec) -> int:
    built: Backbone = parts.rebuild(backbone, Backbone)
    return built.measure(size.nominal_size).dense.stride


def _sigma_in_pixels(head: dict[str, Any], stride: int) -> dict[str, Any]:
    arguments = dict(head["init_args"])
    if head["class_path"].startswith("lightning_pose.heads.") and "sigma" in arguments:
        arguments["sigma"] = arguments["sigma"] * stride
    return {**head, "init_args": arguments}
