"""Frozen layers: neither their weights nor their statistics change in training."""

from typing import Any

import torch
from torch import nn

from lightning_pose.errors import ConfigError

__all__ = ["eval_frozen", "freeze_layers"]


@torch.enable_grad()  # A checkpoint may be loaded where gradients are switched off.
def freeze_layers(encoder: nn.Module, stride: int, multiple: int, name: str) -> None:
    """Freeze the layers that compute the encoder's map of one stride.

    Args:
        encoder: Returns its maps from the finest to the coarsest; it is left in training mode, but
            for the frozen layers.
        stride: The stride of the map in input pixels.
        multiple: What the sides of the encoder's images must be divisible by, in pixels.
        name: The encoder's name, for the error message.

    Raises:
        ConfigError: The encoder has no map of that stride.
    """
    side = 2 * multiple
    # In eval mode, so that the empty image does not update statistics.
    maps: Any = encoder.eval()(torch.zeros(1, 3, side, side))
    found = {side // value.shape[-1]: value for value in maps if value.requires_grad}
    if stride not in found:
        raise ConfigError(
            f"Expected frozen_stride to be one of {sorted(found)}, the strides of the maps of "
            f"{name}, found {stride}; choose one of them."
        )
    parameters = list(encoder.parameters())
    gradients = torch.autograd.grad(found[stride].sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is None)
    eval_frozen(encoder.train())


def eval_frozen(module: nn.Module) -> None:
    """Put the layers without a trainable parameter of their own into evaluation mode.

    Args:
        module: The module, in training mode; layers without parameters stay as they are.

    Example:
        >>> layers = nn.Sequential(nn.BatchNorm2d(1).requires_grad_(False), nn.BatchNorm2d(1))
        >>> eval_frozen(layers)
        >>> [layer.training for layer in layers]
        [False, True]
    """
    for layer in module.modules():
        own = list(layer.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            layer.eval()
