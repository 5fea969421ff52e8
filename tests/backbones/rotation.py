"""An image of smooth blobs at any angle, and maps rotated by any angle."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def blobs(degrees: float, side: int = 96) -> Float[Tensor, "1 3 H W"]:
    """Coloured blobs around the centre of a square image, rotated before they are drawn."""
    draw = torch.Generator().manual_seed(0)
    centres = (torch.rand(12, 2, generator=draw) - 0.5) * 0.45 * side
    colours = torch.randn(12, 3, generator=draw)
    sigmas = (torch.rand(12, generator=draw) * 3 + 3)[:, None, None]
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    x, y = (centres @ turn.T).unbind(dim=1)
    steps = torch.arange(side) - (side - 1) / 2
    squared = (steps[:, None] - y[:, None, None]) ** 2 + (steps - x[:, None, None]) ** 2
    drawn = torch.exp(-squared / (2 * sigmas**2))
    return torch.einsum("nhw,nc->chw", drawn, colours)[None].double()


def rotated(maps: Float[Tensor, "1 C H W"], degrees: float) -> Float[Tensor, "1 C H W"]:
    """Square maps rotated about their centre, as `blobs` rotates an image."""
    side, angle = maps.shape[-1], math.radians(degrees)
    steps = (torch.arange(side, dtype=maps.dtype) - (side - 1) / 2) / (side / 2)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    cosine, sine = math.cos(angle), math.sin(angle)
    places = torch.stack((cosine * x + sine * y, cosine * y - sine * x), dim=-1)
    return F.grid_sample(maps, places[None], mode="bicubic", align_corners=False)


def middle(side: int) -> Bool[Tensor, "H W"]:
    """The cells of a disc in the middle, whose surroundings are in the image at any angle."""
    steps = torch.arange(side) - (side - 1) / 2
    return steps[:, None] ** 2 + steps**2 < (0.3 * side) ** 2


def difference(maps: Float[Tensor, "1 C H W"], others: Float[Tensor, "1 C H W"]) -> float:
    """The difference of two maps in the middle, relative to how much the first varies there."""
    inside = middle(maps.shape[-1])
    one, other = maps[0, :, inside], others[0, :, inside]
    varies = (one - one.mean(dim=1, keepdim=True)).norm()
    return ((one - other).norm() / varies).item()
