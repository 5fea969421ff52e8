"""Single precision for a layer whose rounding under mixed precision would be seen."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["in_float32"]


def in_float32(layer: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """Apply a layer in float32, also inside autocast.

    bfloat16 has 8 significant bits: neighbouring cells of a heatmap tie, and coordinates near the
    edge of a 128-pixel image move in steps of a quarter pixel.

    Args:
        layer: A layer with float32 parameters.
        value: Its input, in any floating-point type.

    Returns:
        Its output in float32.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     in_float32(torch.nn.Linear(2, 1), torch.zeros(1, 2)).dtype
        torch.float32
    """
    with torch.autocast(value.device.type, enabled=False):
        return layer(value.float())
