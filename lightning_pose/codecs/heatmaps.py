"""Gaussian heatmaps, one per joint: encoded from points, and decoded to a fraction of a cell."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = [
    "blur",
    "decode_argmax",
    "decode_dark",
    "decode_expectation",
    "decode_quarter",
    "encode_gaussian",
    "find_peaks",
    "gaussian_kernel",
    "windows",
]


def encode_gaussian(
    points: Float[Tensor, "B K 2"], shape: tuple[int, int], sigma: float
) -> Float[Tensor, "B K h w"]:
    """Draw one Gaussian per point, with height 1 at the point itself.

    Args:
        points: (x, y) in cells of the grid; fractions are kept.
        shape: Rows and columns of the grid.
        sigma: Standard deviation in cells.

    Returns:
        The maps; they are exactly 0 beyond about nine sigma.

    Example:
        >>> encode_gaussian(torch.tensor([[[1.0, 0.0]]]), (1, 3), sigma=1.0)
        tensor([[[[0.6065, 1.0000, 0.6065]]]])
    """

    def along(axis: int, count: int) -> Float[Tensor, "B K n"]:
        away = torch.arange(count, device=points.device) - points[..., axis, None]
        exponent = -away.square() / (2 * sigma**2)
        # 0 beyond nine sigma: products of smaller numbers are subnormal, and take many times as
        # long on a CPU, which would be most of the time.
        return F.threshold(exponent.clamp_min(-50).exp(), 1.1e-19, 0.0)

    # The outer product of two 1-D Gaussians takes a tenth of the time of a loop over maps.
    return along(1, shape[0])[..., :, None] * along(0, shape[1])[..., None, :]


def find_peaks(
    maps: Float[Tensor, "B K h w"],
) -> tuple[Int64[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Find the largest cell of each map.

    Args:
        maps: One map per joint.

    Returns:
        (x, y) of the cells, and their values.

    Example:
        >>> find_peaks(torch.tensor([[[[0.0, 0.0], [0.5, 0.0]]]]))
        (tensor([[[0, 1]]]), tensor([[0.5000]]))
    """
    # The maximum of each row first: a maximum with its place is four times as slow as one without.
    rows = maps.amax(dim=3).max(dim=2).indices
    place = rows[..., None, None].expand(-1, -1, 1, maps.shape[3])
    values, columns = maps.gather(2, place)[:, :, 0].max(dim=2)
    return torch.stack((columns, rows), dim=-1), values


def windows(
    maps: Float[Tensor, "B K h w"], centres: Int64[Tensor, "B K 2"], radius: int
) -> Float[Tensor, "B K n n"]:
    """Cut a square window from each map, with 0 beyond the map's edge.

    Args:
        maps: One map per joint.
        centres: (x, y) of the cell at the centre of each window.
        radius: Cells on each side of the centre; a window is 2 * radius + 1 cells wide.

    Returns:
        The windows.

    Example:
        >>> windows(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[0, 0]]]), radius=1)
        tensor([[[[0., 0., 0.],
                  [0., 1., 2.],
                  [0., 0., 0.]]]])
    """
    height, width = maps.shape[2:]
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    rows = (centres[..., 1, None] + steps)[..., :, None]
    columns = (centres[..., 0, None] + steps)[..., None, :]
    # Clamped and then masked: padding the maps would copy all of them.
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    cut = maps.flatten(2).gather(2, index.flatten(2)).view_as(index)
    return cut.masked_fill(~inside, 0)


def gaussian_kernel(sigma: float, radius: int) -> Float[Tensor, " n"]:
    """The weights of a Gaussian blur, which sum to 1.

    Example:
        >>> gaussian_kernel(sigma=1.0, radius=1)
        tensor([0.2741, 0.4519, 0.2741])
    """
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    return torch.softmax(-steps.square() / (2 * sigma**2), dim=0)


def blur(maps: Float[Tensor, "B K h w"], sigma: float) -> Float[Tensor, "B K h w"]:
    """Blur whole maps with a Gaussian, with 0 beyond the edge.

    It uses two products with a banded matrix; a single-channel convolution takes many times as
    long.

    Args:
        maps: The maps.
        sigma: Standard deviation in cells.

    Returns:
        The blurred maps.

    Example:
        >>> blur(torch.tensor([[[[0.0, 1.0, 0.0]]]]), sigma=0.5)[0, 0, 0]
        tensor([0.0838, 0.6190, 0.0838])
    """

    def band(count: int) -> Float[Tensor, "n n"]:
        kernel = gaussian_kernel(sigma, count)
        steps = torch.arange(count)
        return kernel[count + steps[:, None] - steps].to(maps.device)

    with torch.autocast(maps.device.type, enabled=False):
        return band(maps.shape[2]) @ maps @ band(maps.shape[3])


def decode_argmax(maps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K 2"]:
    """Decode each point as the centre of the largest cell, accurate to half a cell.

    Args:
        maps: One map per joint.

    Returns:
        (x, y) in cells.

    Example:
        >>> decode_argmax(torch.tensor([[[[0.2, 0.9, 0.4]]]]))
        tensor([[[1., 0.]]])
    """
    return find_peaks(maps)[0].float()


def decode_quarter(maps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K 2"]:
    """Decode each point a quarter of a cell from the largest cell towards the larger neighbour.

    Newell et al. 2016, https://arxiv.org/abs/1603.06937. In a row or column at the edge of the map,
    where one neighbour is missing, the point stays at the cell's centre.

    Args:
        maps: One map per joint.

    Returns:
        (x, y) in cells.

    Example:
        >>> decode_quarter(torch.tensor([[[[0.2, 0.9, 0.4]]]]))
        tensor([[[1.2500, 0.0000]]])
    """
    peaks, _ = find_peaks(maps)
    near = windows(maps, peaks, radius=1)
    slope = torch.stack((near[..., 1, 2] - near[..., 1, 0], near[..., 2, 1] - near[..., 0, 1]), -1)
    return peaks + 0.25 * slope.sign() * (_room(peaks, maps) > 0)


def decode_dark(maps: Float[Tensor, "B K h w"], sigma: float) -> Float[Tensor, "B K 2"]:
    """Decode each point from the map around its largest cell, accurate to hundredths of a cell.

    DARK (Zhang et al. 2020, https://arxiv.org/abs/1910.06278): the logarithm of a Gaussian is a
    parabola, whose slope and curvature at the largest cell locate its maximum. The map is blurred
    first, because predicted maps have several local maxima; this implementation blurs only around
    the largest cell. In a row or column at the edge of the map, the point stays at the cell's
    centre.

    Args:
        maps: One map per joint; negative values count as 0.
        sigma: Standard deviation in cells of the Gaussians that the maps were trained with, also
            used for the blur.

    Returns:
        (x, y) in cells, at most one cell from the largest along each axis.

    Example:
        >>> maps = encode_gaussian(torch.tensor([[[8.3, 7.9]]]), (16, 16), sigma=2.0)
        >>> decode_dark(maps, sigma=2.0)
        tensor([[[8.3..., 7.9...]]])
    """
    peaks, _ = find_peaks(maps)
    room = _room(peaks, maps)

    # The kernel is cut symmetrically where the map ends, so that an edge does not shift a point.
    radius = round(2.5 * sigma)
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    kernel = torch.exp(-steps.square() / (2 * sigma**2)) * (
        steps.abs() < room.clamp_min(1)[..., None]
    )
    # With the kernel shifted by one cell to either side, two sums blur the nine cells around the
    # largest. They are written out, because autocast would compute a matrix product in bfloat16.
    blur = torch.stack([F.pad(kernel, (shift, 2 - shift)) for shift in range(3)], dim=-2)
    patch = windows(maps, peaks, radius + 1).clamp_min(0)
    rows = (patch[..., None, :, :] * blur[..., 1, :, :, None]).sum(dim=-2)  # (B, K, 3, n)
    near = (rows[..., :, None, :] * blur[..., 0, None, :, :]).sum(dim=-1)  # (B, K, 3, 3)
    log = near.clamp_min(1e-10).log()

    inside = room > 0
    dx = (log[..., 1, 2] - log[..., 1, 0]) / 2
    dy = (log[..., 2, 1] - log[..., 0, 1]) / 2
    dxx = log[..., 1, 2] + log[..., 1, 0] - 2 * log[..., 1, 1]
    dyy = log[..., 2, 1] + log[..., 0, 1] - 2 * log[..., 1, 1]
    dxy = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]) / 4
    # Along an axis without room the slope is 0, and the other axis is solved alone.
    slope = torch.stack((dx, dy), dim=-1) * inside
    curvature = torch.where(inside, torch.stack((dxx, dyy), dim=-1), -1.0)
    cross = (dxy * inside.all(dim=-1))[..., None]
    determinant = curvature.prod(dim=-1, keepdim=True) - cross.square()
    # There is a maximum only where the surface curves down in every direction.
    is_hill = (determinant > 1e-10) & (curvature[..., :1] < 0)
    newton = cross * slope.flip(-1) - curvature.flip(-1) * slope
    offset = newton / torch.where(is_hill, determinant, 1.0)
    return peaks + torch.where(is_hill, offset.clamp(-1, 1), 0.0)


def decode_expectation(maps: Float[Tensor, "B K h w"], sigma: float) -> Float[Tensor, "B K 2"]:
    """Decode each point as the mean position around the largest cell, weighted by the map.

    The mean is over the cells within three sigma of the largest along each axis, not over the whole
    map, in which a second peak or a low level everywhere would pull the point away. Where the map
    ends sooner, the cells on the other side are cut as well, so that an edge does not shift a
    point.

    Args:
        maps: One map per joint; negative values count as 0.
        sigma: Standard deviation in cells of the Gaussians that the maps were trained with.

    Returns:
        (x, y) in cells.

    Example:
        >>> maps = encode_gaussian(torch.tensor([[[8.3, 7.9]]]), (16, 16), sigma=2.0)
        >>> decode_expectation(maps, sigma=2.0).round(decimals=2)
        tensor([[[8.3000, 7.9000]]])
    """
    peaks, _ = find_peaks(maps)
    radius = math.ceil(3 * sigma)
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    inside = steps.abs() <= _room(peaks, maps)[..., None]  # (B, K, 2, n)
    patch = windows(maps, peaks, radius).clamp_min(0)
    patch = patch * (inside[..., 1, :, None] & inside[..., 0, None, :])
    # Written out, because autocast would compute a matrix product in bfloat16.
    moment = torch.stack([(patch.sum(dim=axis) * steps).sum(dim=-1) for axis in (-2, -1)], dim=-1)
    total = patch.sum(dim=(-2, -1))[..., None]
    return peaks + moment / total.clamp_min(torch.finfo(torch.float32).tiny)


def _room(peaks: Int64[Tensor, "B K 2"], maps: Float[Tensor, "B K h w"]) -> Int64[Tensor, "B K 2"]:
    """The number of cells between each peak and the nearer edge of the map, along x and along y."""
    last = peaks.new_tensor([maps.shape[3] - 1, maps.shape[2] - 1])
    return torch.minimum(peaks, last - peaks)
