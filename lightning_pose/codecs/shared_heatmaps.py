"""One heatmap in which every joint is a peak."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_pose.codecs.heatmaps import blur

__all__ = ["encode_shared_heatmap"]


def encode_shared_heatmap(
    points: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
    shape: tuple[int, int],
    sigma: float,
) -> Float[Tensor, "B 1 h w"]:
    """Set the cell of each labelled joint to 1, blur the map, and divide it by its maximum.

    Joints in one cell count once. Where the Gaussians of neighbouring joints overlap, their sum is
    the maximum, and joints that are apart are lower than 1.

    Args:
        points: (x, y) in cells of the grid.
        labelled: False for a joint that is left out.
        shape: Rows and columns of the grid.
        sigma: Standard deviation of the Gaussian in cells.

    Returns:
        One map per person, from 0 to 1; 0 everywhere without a labelled joint.

    Example:
        >>> points = torch.tensor([[[0.2, 0.0], [3.9, 0.0]]])
        >>> maps = encode_shared_heatmap(points, torch.tensor([[True, True]]), (1, 6), sigma=0.5)
        >>> maps[0, 0, 0].round(decimals=2)
        tensor([1.0000, 0.1400, 0.0000, 0.1400, 1.0000, 0.1400])
    """
    rows, columns = shape
    # A point at the outer edge of the last cell is in the next one.
    x = (points[..., 0] + 0.5).floor().long().clamp(0, columns - 1)
    y = (points[..., 1] + 0.5).floor().long().clamp(0, rows - 1)
    ones = points.new_zeros(len(points), rows * columns)
    # The largest, because an unlabelled joint must not clear the cell of a labelled one.
    ones = ones.scatter_reduce(1, y * columns + x, labelled.to(ones), "amax")
    blurred = blur(ones.view(-1, 1, rows, columns), sigma)
    highest = blurred.amax(dim=(2, 3), keepdim=True)
    return blurred / highest.clamp_min(torch.finfo(torch.float32).tiny)
