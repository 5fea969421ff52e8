"""What plain stacks of layers share: where they normalise, and how their weights start."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import nn

from lightning_pose.errors import ConfigError

__all__ = ["Init", "Norm", "activated", "check_settings", "init_weights"]

Norm = Literal["before", "after"]
"""Whether batch norm comes before or after the ReLU."""

Init = Literal["kaiming", "xavier"]
"""How weights start: He et al. 2015 (https://arxiv.org/abs/1502.01852), made for ReLUs, or Glorot
and Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html)."""


def activated(layer: nn.Module, batch_norm: nn.Module, norm: Norm | None) -> list[nn.Module]:
    """A layer with its ReLU and, on one side of it, its batch norm.

    Args:
        layer: A convolution or a fully connected layer.
        batch_norm: Normalises what the layer returns.
        norm: Where it does; None leaves it out.

    Returns:
        The modules in order.

    Example:
        >>> layers = activated(nn.Linear(3, 4), nn.BatchNorm1d(4), norm="after")
        >>> [type(layer).__name__ for layer in layers]
        ['Linear', 'ReLU', 'BatchNorm1d']
    """
    relu = nn.ReLU(inplace=True)
    match norm:
        case "before":
            return [layer, batch_norm, relu]
        case "after":
            return [layer, relu, batch_norm]
    return [layer, relu]


def init_weights(part: nn.Module, init: Init) -> None:
    """Set the initial weights of all convolutions and fully connected layers; biases are 0.

    "kaiming" keeps the variance of the signal in layers that a ReLU follows. "xavier" keeps it in
    layers without one.

    Args:
        part: The layers.
        init: How weights start.
    """
    for layer in part.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if init == "kaiming":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def check_settings(part: str, norm: Norm | None, init: Init, dropout: Sequence[float]) -> None:
    """Refuse settings of a stack of layers that mean nothing.

    Args:
        part: The name of its class.
        norm: Where batch norm is.
        init: How weights start.
        dropout: Dropout probabilities.

    Raises:
        ConfigError: A choice is unknown, or a probability is not in [0, 1).
    """
    for name, value, choices in (
        ("norm", norm, [*get_args(Norm), None]),
        ("init", init, list(get_args(Init))),
    ):
        if value not in choices:
            raise ConfigError(
                f"Expected {part}.{name} to be one of {choices}, found {value!r}; choose one of "
                "them."
            )
    for rate in dropout:
        if not 0 <= rate < 1:
            raise ConfigError(
                f"Expected {part}.dropout of 0 or more and below 1, found {rate}; 0.5 is usual."
            )
