"""Positions along one axis as distributions over bins, which divide the axis evenly."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["decode_bins", "encode_bins"]


def encode_bins(
    positions: Float[Tensor, "B K"], count: int, sigma: float
) -> Float[Tensor, "B K bins"]:
    """A Gaussian around each position, normalised over the bins.

    Args:
        positions: Positions in bins, where an integer is the centre of a bin; fractions are kept.
        count: Number of bins.
        sigma: Standard deviation in bins.

    Returns:
        Distributions that sum to 1, also for a position near or beyond the end.

    Example:
        >>> encode_bins(torch.tensor([[1.0]]), 3, sigma=1.0)
        tensor([[[0.2741, 0.4519, 0.2741]]])
    """
    steps = torch.arange(count, device=positions.device) - positions[..., None]
    return torch.softmax(-steps.square() / (2 * sigma**2), dim=-1)


def decode_bins(
    probability: Float[Tensor, "B K bins"], sigma: float, decoding: Literal["argmax", "expectation"]
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """The position that each distribution is about.

    Args:
        probability: Distributions that sum to 1.
        sigma: Standard deviation in bins of the Gaussians that they were trained with.
        decoding: "argmax" for the centre of the most probable bin, "expectation" for the mean
            position.

    Returns:
        The positions in bins, and the probability within two sigma of the most probable bin.

    Example:
        >>> probability = torch.tensor([[[0.0, 0.5, 0.4, 0.0, 0.0, 0.1]]])
        >>> decode_bins(probability, sigma=1.0, decoding="expectation")
        (tensor([[1.8000]]), tensor([[0.9000]]))
    """
    steps = torch.arange(probability.shape[-1], dtype=torch.float32, device=probability.device)
    peaks = probability.argmax(dim=-1).float()
    near = (steps - peaks[..., None]).abs() <= 2 * sigma
    positions = peaks if decoding == "argmax" else (probability * steps).sum(dim=-1)
    return positions, (probability * near).sum(dim=-1)
