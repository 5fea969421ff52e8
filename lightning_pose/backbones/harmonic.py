"""Harmonic convolutions, whose response to a rotated image is the rotated response.

A feature map holds complex numbers of the rotation orders 0 and 1. Where the image is rotated by an
angle, a number of order m is multiplied by exp(i m angle): its magnitude does not change. The map
is a real tensor whose channels are the real parts of order 0, those of order 1, and then the
imaginary parts in the same order.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "HarmonicConvolution",
    "HarmonicFilters",
    "MagnitudeReLU",
    "join_maps",
    "magnitudes",
    "scale_magnitudes",
]

_ORDERS = (0, 1)

# Added under the root of a magnitude. In an even region, numbers of order 1 are 0 and have no
# direction: their gradient would have no limit.
_EPSILON = 1e-4


class HarmonicFilters(nn.Module):
    """3 x 3 filters R(r) exp(i (m angle + phase)), with a profile R and a phase of their own.

    A profile has one number per ring of cells, at the distances 0, 1 and the square root of 2 from
    the centre. Where m is not 0, there is none for the centre, which has no angle.

    Args:
        order: The rotation order m.
        before: Number of input maps.
        after: Number of output maps.
    """

    _basis: Tensor

    def __init__(self, order: int, before: int, after: int) -> None:
        super().__init__()
        steps = torch.arange(-1.0, 2.0)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        squared = x.square() + y.square()
        rings = range(3) if order == 0 else range(1, 3)
        on_ring = torch.stack([squared == ring for ring in rings])
        # The cosine and sine of the angle times the order, which is -1, 0 or 1.
        distance = squared.sqrt().clamp_min(1)
        cosine = on_ring * (x / distance if order else torch.ones_like(x))
        sine = on_ring * (order * y / distance)
        # One row per ring for profile * cos(phase), then one per ring for profile * sin(phase);
        # the columns are the nine cells of the real part, then those of the imaginary part.
        rows = torch.cat((torch.stack((cosine, sine), 1), torch.stack((-sine, cosine), 1)))
        self.register_buffer("_basis", rows.flatten(1), persistent=False)
        self.profile = nn.Parameter(torch.empty(after, before, len(rings)))
        self.phase = nn.Parameter(torch.empty(after, before))
        # Nine cells of the maps of two orders add up, so that magnitudes neither grow nor fade.
        nn.init.normal_(self.profile, std=(2 * 9 * before) ** -0.5)
        nn.init.uniform_(self.phase, 0, 2 * math.pi)

    def forward(self) -> Float[Tensor, "O I 2 3 3"]:
        """The real and the imaginary parts of the filters."""
        phase = self.phase[..., None]
        weights = torch.cat((self.profile * phase.cos(), self.profile * phase.sin()), dim=2)
        filters: Tensor = (weights @ self._basis).unflatten(2, (2, 3, 3))
        return filters


class HarmonicConvolution(nn.Module):
    """A 3 x 3 convolution between maps of complex numbers, of H-Nets.

    "Harmonic Networks: Deep Translation and Rotation Equivariance" (Worrall et al., CVPR 2017,
    https://arxiv.org/abs/1612.04642). A filter of order m makes maps of order n + m from maps of
    order n. Each output order is a sum over the input orders, each filtered with the difference of
    the two. All of them are computed in one real convolution.

    Rotating the image by 90 degrees rotates the magnitudes exactly. Other angles do so
    approximately, because the filters are sampled on a grid: better the smoother the image is.

    Args:
        before: Number of input maps per order.
        after: Number of output maps per order.
        orders: The rotation orders of the input; an image has order 0, with imaginary parts of 0.

    Example:
        >>> convolution = HarmonicConvolution(before=2, after=3)
        >>> convolution(torch.zeros(1, 4 * 2, 16, 16)).shape
        torch.Size([1, 12, 16, 16])
    """

    def __init__(self, before: int, after: int, orders: tuple[int, ...] = _ORDERS) -> None:
        super().__init__()
        self.filters = nn.ModuleList(
            HarmonicFilters(new - old, before, after) for new in _ORDERS for old in orders
        )

    def kernel(self) -> Float[Tensor, "O I 3 3"]:
        """The weights of the equivalent real convolution.

        The real part of (a + ib) x is a re(x) - b im(x), the imaginary part b re(x) + a im(x).
        """
        blocks = [filters() for filters in self.filters]
        columns = len(blocks) // len(_ORDERS)
        rows = [torch.cat(blocks[n : n + columns], dim=1) for n in range(0, len(blocks), columns)]
        a, b = torch.cat(rows).unbind(dim=2)
        return torch.cat((torch.cat((a, -b), dim=1), torch.cat((b, a), dim=1)))

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O H W"]:
        """Convolve the maps, with 0 beyond their edges."""
        return F.conv2d(x, self.kernel(), padding=1)


class MagnitudeReLU(nn.Module):
    """Batch norm and ReLU of the magnitudes; the directions in the complex plane are kept.

    Args:
        channels: Number of maps per order.

    Example:
        >>> maps = torch.randn(2, 4 * 3, 8, 8)
        >>> after = MagnitudeReLU(channels=3)(maps)
        >>> bool((magnitudes(after) < 0.011).any()), bool((after * maps >= 0).all())
        (True, True)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(len(_ORDERS) * channels)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalise and rectify the magnitudes."""
        if x.dtype == torch.float16:
            x = x.float()  # The square of 256 would be infinite.
        magnitude = magnitudes(x)
        return scale_magnitudes(x, F.relu(self.norm(magnitude)) / magnitude)


def magnitudes(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B M H W"]:
    """The magnitudes of complex maps, which do not change where the image is rotated.

    Args:
        x: Maps of complex numbers of the orders 0 and 1.

    Returns:
        Half as many maps: those of order 0, then those of order 1. The magnitude of 0 is 0.01,
        which keeps gradients finite.

    Example:
        >>> magnitudes(torch.tensor([3.0, 0.6, 4.0, 0.8]).view(1, 4, 1, 1)).flatten()
        tensor([5.0000, 1.0000])
    """
    real, imaginary = x.unflatten(1, (2, -1)).unbind(dim=1)
    squared: Tensor = real.square() + imaginary.square()
    return (squared + _EPSILON).sqrt()


def scale_magnitudes(
    x: Float[Tensor, "B C H W"], factor: Float[Tensor, "B M H W"]
) -> Float[Tensor, "B C H W"]:
    """Multiply complex maps by real factors.

    Args:
        x: Maps of complex numbers of the orders 0 and 1.
        factor: A number for each complex number: those of order 0, then those of order 1.

    Returns:
        The scaled maps.

    Example:
        >>> maps, factor = torch.ones(1, 4, 1, 1), torch.tensor([2.0, 0.5]).view(1, 2, 1, 1)
        >>> scale_magnitudes(maps, factor).flatten()
        tensor([2.0000, 0.5000, 2.0000, 0.5000])
    """
    real, imaginary = x.unflatten(1, (2, -1)).unbind(dim=1)
    return torch.cat((real * factor, imaginary * factor), dim=1)


def join_maps(
    first: Float[Tensor, "B C H W"], second: Float[Tensor, "B D H W"]
) -> Float[Tensor, "B E H W"]:
    """Concatenate complex maps, order by order.

    Args:
        first: Maps of complex numbers of the orders 0 and 1.
        second: More of them.

    Returns:
        All of them.

    Example:
        >>> maps = torch.arange(4.0).view(1, 4, 1, 1)
        >>> join_maps(maps, maps + 10).flatten()
        tensor([ 0., 10.,  1., 11.,  2., 12.,  3., 13.])
    """
    pairs = zip(first.chunk(4, dim=1), second.chunk(4, dim=1), strict=True)
    return torch.cat([part for pair in pairs for part in pair], dim=1)
