"""Layers written out as plain operations, to compare networks with."""

import torch
from torch import Tensor, nn


def randomise(network: nn.Module) -> nn.Module:
    """Give batch norm other weights and statistics than those it starts with; evaluation mode."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return network.eval()


def normalise(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    mean, var, weight, bias = (
        values.detach()[:, None, None]
        for values in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / (var + layer.eps).sqrt() * weight + bias


def relu(x: Tensor) -> Tensor:
    return x.clamp_min(0)


def max_pool(x: Tensor) -> Tensor:
    return x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.detach(), expected.detach(), atol=1e-5, rtol=1e-4)
