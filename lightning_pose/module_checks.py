"""What a model refuses: a trainer, a data module or images that do not fit it."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_pose.checkpoint import differences
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.model_spec import ModelSpec
from lightning_pose.weightings.base import Weighting

__all__ = [
    "check_backward",
    "check_data",
    "check_images",
    "check_main_metric",
    "check_precision",
]


def check_precision(trainer: pl.Trainer) -> None:
    """Refuse a precision whose weights are not in float32, as points and images are.

    Raises:
        ConfigError: The precision is "16-true", "bf16-true" or "64-true".
    """
    if str(trainer.precision).endswith("-true") and trainer.precision != "32-true":
        raise ConfigError(
            "Expected trainer.precision 32-true, bf16-mixed or 16-mixed, found "
            f"{trainer.precision}; choose one of these, because points and images are in float32."
        )


def check_backward(trainer: pl.Trainer, weighting: Weighting, scaled: bool) -> None:
    """Refuse a weighting's own backward pass where its gradients would be wrong.

    Args:
        trainer: The trainer, at a training step: only then are precision and accumulation known.
        weighting: How the losses become one.
        scaled: Whether the precision scales the losses.

    Raises:
        ConfigError: There are several processes, accumulated batches or scaled losses.
    """
    accumulated = trainer.accumulate_grad_batches
    if weighting.own_backward and (trainer.world_size > 1 or accumulated > 1 or scaled):
        raise ConfigError(
            "Expected one process, accumulate_grad_batches 1 and no scaled losses (16-mixed) with "
            f"{type(weighting).__name__}, whose backward pass is its own, found "
            f"{trainer.world_size} processes, {accumulated} batches and precision "
            f"{trainer.precision}; change them, or choose another weighting."
        )


def check_data(spec: ModelSpec, data: Any) -> None:
    """Refuse a data module whose people are cropped or labelled differently.

    Args:
        spec: The model's spec.
        data: The `PoseDataModule`, if there is one; plain data loaders are not checked.

    Raises:
        ConfigError: The input spec, the names of the joints, or the classes of a label differ.
    """
    if not hasattr(data, "input_spec"):
        return
    for name, ours, theirs in (
        ("input_spec", spec.input_spec.to_dict(), data.input_spec.to_dict()),
        # Colours and limbs affect only drawings.
        ("skeleton.names", spec.skeleton.names, data.skeleton.names),
        ("labels", spec.labels, {name: data.labels.get(name) for name in spec.labels}),
    ):
        found = "; ".join(differences(ours, theirs, name, ("in the model", "in the data")))
        if found:
            raise ConfigError(
                f"Expected a model and a data module with the same {name}, found {found}; set "
                "both to the same value."
            )


def check_images(image: Tensor, size: tuple[int, int] | None) -> None:
    """Refuse images for a prediction that would be wrong without an error.

    Args:
        image: What the user gave.
        size: Height and width of the model's input, None where sizes differ.

    Raises:
        DataError: The form, the size or the range is not that of the network's input.
    """
    form = image.ndim == 4 and image.shape[1] == 3
    if form and image.is_floating_point():
        # Bicubic interpolation overshoots. NaN is not in the range either.
        ranged = bool(((image >= -0.5) & (image <= 1.5)).all())
    else:
        ranged = image.dtype == torch.uint8
    if form and ranged and size in (None, tuple(image.shape[2:])):
        return
    found = f"{str(image.dtype).removeprefix('torch.')} of shape {tuple(image.shape)}"
    if form and not ranged and image.numel():
        found += f" with values from {float(image.min()):g} to {float(image.max()):g}"
    sides = "H, W" if size is None else f"{size[0]}, {size[1]}"
    raise DataError(
        f"Expected images of shape (B, 3, {sides}), uint8 from 0 to 255 or floating point from 0 "
        f"to 1, found {found}; for images of any size, use "
        "lightning_pose.load(CHECKPOINT)(IMAGE)."
    )


def check_main_metric(value: Tensor, name: str) -> None:
    """Refuse a validation without a main metric: no checkpoint would be better than another.

    Args:
        value: The main metric, NaN if nobody has a label for it.
        name: The setting that chose it.

    Raises:
        DataError: There is no value.
    """
    if value.isnan():
        raise DataError(
            f"Expected validation people with labels for the main metric ({name}), found none; set "
            "model.main_head or model.main_metric to one that has labels, or validate on other "
            "people."
        )
