"""Points, affine crops and grids: the only file that defines where a pixel's centre is.

A point is (x, y) in float32 and an integer is the *centre* of a pixel, so that an image of width W
spans [-0.5, W - 0.5]. A crop is a (2, 3) affine matrix that maps source pixels to pixels of the
network's input. The functions take torch tensors; `crop_matrix` and `transform_points`, which
datasets and transforms use, take numpy arrays.
"""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

__all__ = [
    "apply_affine",
    "crop_matrix",
    "crop_scale",
    "flip_points",
    "from_grid",
    "from_unit",
    "image_box",
    "invert_affine",
    "to_grid",
    "to_unit",
    "transform_points",
]


def to_grid(points: Float[Tensor, "*batch 2"], stride: int) -> Float[Tensor, "*batch 2"]:
    """Convert points from the image to a grid of coarser cells, x_s = (x + 0.5) / s - 0.5.

    Args:
        points: (x, y) in input pixels.
        stride: Input pixels per grid cell.

    Returns:
        The same points in grid cells, where an integer is a cell's centre.

    Example:
        >>> to_grid(torch.tensor([[1.5, 5.5]]), stride=4)
        tensor([[0., 1.]])
    """
    return (points + 0.5) / stride - 0.5


def from_grid(points: Float[Tensor, "*batch 2"], stride: int) -> Float[Tensor, "*batch 2"]:
    """Convert points from a grid back to the image, x = (x_s + 0.5) * s - 0.5.

    Args:
        points: (x, y) in grid cells.
        stride: Input pixels per grid cell.

    Returns:
        The same points in input pixels.

    Example:
        >>> from_grid(torch.tensor([[0.0, 1.0]]), stride=4)
        tensor([[1.5000, 5.5000]])
    """
    return (points + 0.5) * stride - 0.5


def to_unit(
    points: Float[Tensor, "*batch 2"], size: tuple[int, int] | Int64[Tensor, "*#batch 2"]
) -> Float[Tensor, "*batch 2"]:
    """Convert points from an image of (height, width) pixels to [-1, 1], edge to edge.

    Args:
        points: (x, y) in input pixels.
        size: Height and width of the image in pixels, for all points or broadcastable to them.

    Returns:
        Normalised (x, y): -1 is the left or upper edge, 1 the right or lower edge.

    Example:
        >>> to_unit(torch.tensor([[-0.5, 31.5]]), size=(64, 64))
        tensor([[-1.,  0.]])
    """
    return (points + 0.5) / _width_height(points, size) * 2 - 1


def from_unit(
    points: Float[Tensor, "*batch 2"], size: tuple[int, int] | Int64[Tensor, "*#batch 2"]
) -> Float[Tensor, "*batch 2"]:
    """Convert normalised points in [-1, 1] back to an image of (height, width) pixels.

    Args:
        points: Normalised (x, y), see `to_unit`.
        size: Height and width of the image in pixels, for all points or broadcastable to them.

    Returns:
        (x, y) in input pixels.

    Example:
        >>> from_unit(torch.tensor([[-1.0, 0.0]]), size=(64, 64))
        tensor([[-0.5000, 31.5000]])
    """
    return (points + 1) / 2 * _width_height(points, size) - 0.5


def _width_height(points: Tensor, size: tuple[int, int] | Tensor) -> Tensor:
    if isinstance(size, Tensor):
        return size.flip(-1).to(points)
    return points.new_tensor([size[1], size[0]])


def flip_points(points: Float[Tensor, "*batch 2"], width: int) -> Float[Tensor, "*batch 2"]:
    """Mirror points left to right in an image of `width` pixels, x' = width - 1 - x.

    The joints keep their places in the tensor: code that flips a person also swaps
    `skeleton.flip_pairs`, since a mirrored left hand is a right hand.

    Args:
        points: (x, y) in pixels.
        width: Width of the image in pixels.

    Returns:
        The mirrored points.

    Example:
        >>> flip_points(torch.tensor([[0.0, 3.0]]), width=10)
        tensor([[9., 3.]])
    """
    return torch.stack((width - 1 - points[..., 0], points[..., 1]), dim=-1)


def apply_affine(
    matrix: Float[Tensor, "B 2 3"], points: Float[Tensor, "B K 2"]
) -> Float[Tensor, "B K 2"]:
    """Transform points by one affine matrix per person.

    Args:
        matrix: One (2, 3) matrix per person.
        points: (x, y) in the source frame of the matrices.

    Returns:
        (x, y) in the target frame of the matrices.

    Example:
        >>> double = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]])
        >>> apply_affine(double, torch.tensor([[[3.0, 4.0]]]))
        tensor([[[7., 8.]]])
    """
    # Written out: autocast computes matrix products in bfloat16, which moves points by pixels.
    linear, shift = matrix[:, None, :, :2], matrix[:, None, :, 2]
    return (linear * points[:, :, None, :]).sum(dim=-1) + shift


def invert_affine(matrix: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B 2 3"]:
    """Invert affine matrices: `apply_affine(invert_affine(m), apply_affine(m, p))` is p.

    Args:
        matrix: One invertible (2, 3) matrix per person.

    Returns:
        The inverse matrices, in the same layout and type.

    Example:
        >>> double = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]])
        >>> invert_affine(double)
        tensor([[[ 0.5000,  0.0000, -0.5000],
                 [ 0.0000,  0.5000,  0.0000]]])
    """
    # Written out, because torch.linalg.inv does not support half precision and is slow for tiny
    # matrices; in float64, so that a crop far from the origin keeps its sub-pixel digits. Apple's
    # GPUs have no float64.
    exact = torch.float32 if matrix.device.type == "mps" else torch.float64
    (a, b, tx), (c, d, ty) = (row.unbind(-1) for row in matrix.to(exact).unbind(-2))
    determinant = a * d - b * c
    first = torch.stack((d, -b, b * ty - d * tx), dim=-1)
    second = torch.stack((-c, a, c * tx - a * ty), dim=-1)
    # Adding zero turns -0.0 into 0.0.
    return (torch.stack((first, second), dim=-2) / determinant[..., None, None] + 0.0).to(matrix)


def crop_scale(matrix: Float[Tensor, "B 2 3"]) -> Float[Tensor, " B"]:
    """How many input pixels one source pixel spans under each crop.

    Args:
        matrix: One crop per person, source pixels to input pixels.

    Returns:
        The square root of the absolute determinant; for a stretched crop, the geometric mean of its
        two scales.

    Example:
        >>> crop_scale(torch.tensor([[[0.0, -2.0, 1.0], [2.0, 0.0, 0.0]]]))
        tensor([2.])
    """
    linear = matrix[:, :, :2]
    return (linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]).abs().sqrt()


def image_box(size: tuple[int, int]) -> Float32[np.ndarray, " 4"]:
    """The box xyxy that spans a whole image, between the outer edges of its first and last pixels.

    Args:
        size: Height and width of the image in pixels.

    Returns:
        (-0.5, -0.5, width - 0.5, height - 0.5).

    Example:
        >>> image_box((10, 20)).tolist()
        [-0.5, -0.5, 19.5, 9.5]
    """
    return np.array([-0.5, -0.5, size[1] - 0.5, size[0] - 0.5], dtype=np.float32)


def crop_matrix(
    box: Float32[np.ndarray, " 4"],
    size: tuple[int, int],
    enlarge: float = 1.25,
    rotation: float = 0.0,
    scale: float = 1.0,
    flip: bool = False,
    fit: Literal["contain", "cover", "stretch"] = "contain",
) -> Float32[np.ndarray, "2 3"]:
    """The affine matrix that maps a box to the centre of the network's input.

    The box is enlarged about its centre. Rotation and scale act about that centre, in the source
    frame, so that a stretched crop shows a rotated person and not a sheared one; the flip is
    applied last.

    Args:
        box: (x0, y0, x1, y1) in source pixels.
        size: Height and width of the network's input in pixels.
        enlarge: How much larger than the box the crop is, 1.25 for a margin of an eighth per side.
        rotation: Clockwise rotation of the person, as seen on the screen, in degrees.
        scale: How much larger than usual the person appears.
        flip: Mirror the crop left to right.
        fit: "contain" shows the whole box, "cover" fills the input with it, and "stretch" scales
            height and width separately; the first two keep the aspect ratio.

    Returns:
        The (2, 3) matrix from source pixels to input pixels.

    Example:
        >>> box = np.array([10, 20, 30, 40], dtype=np.float32)
        >>> crop_matrix(box, size=(40, 40), enlarge=1.0).tolist()
        [[2.0, 0.0, -20.5], [0.0, 2.0, -40.5]]
    """
    height, width = size
    x0, y0, x1, y1 = (float(value) for value in box)
    across, down = (x1 - x0) / width, (y1 - y0) / height
    if fit != "stretch":
        across = down = max(across, down) if fit == "contain" else min(across, down)
    # A box without extent (one visible joint) counts as one pixel, so that the crop is invertible.
    least = 1 / max(width, height)
    zoom_x, zoom_y = (scale / (enlarge * max(side, least)) for side in (across, down))
    angle = math.radians(rotation)
    cosine, sine = math.cos(angle), math.sin(angle)
    linear = np.array([[zoom_x * cosine, 0.0 - zoom_x * sine], [zoom_y * sine, zoom_y * cosine]])
    source_centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    input_centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.concatenate((linear, (input_centre - linear @ source_centre)[:, None]), axis=1)
    if flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width - 1
    return matrix.astype(np.float32)


def transform_points(
    matrix: Float32[np.ndarray, "2 3"], points: Float32[np.ndarray, "K 2"]
) -> Float32[np.ndarray, "K 2"]:
    """Transform the points of one person by an affine matrix: `apply_affine` for numpy.

    Args:
        matrix: A (2, 3) affine matrix.
        points: (x, y) in the source frame of the matrix.

    Returns:
        (x, y) in the target frame of the matrix.

    Example:
        >>> double = np.array([[2, 0, 1], [0, 2, 0]], dtype=np.float32)
        >>> transform_points(double, np.array([[3, 4]], dtype=np.float32)).tolist()
        [[7.0, 8.0]]
    """
    moved: np.ndarray = points @ matrix[:, :2].T + matrix[:, 2]
    return moved.astype(np.float32)
