"""Odd image sizes: pad on the right and bottom, and crop the maps to the cells of the image."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cut_map", "pad_image"]


def pad_image(image: Float[Tensor, "B 3 H W"], multiple: int) -> Float[Tensor, "B 3 H2 W2"]:
    """Pad images on the right and bottom until both sides are multiples of `multiple`.

    Nothing is added on the left and top, so that cell 0 of every grid stays where
    `lightning_pose.geometry.to_grid` expects it.

    Args:
        image: Normalised images; the padding is 0, the mean colour.
        multiple: What both sides must be divisible by, in pixels.

    Returns:
        The padded images; the same tensor if no padding was needed.

    Example:
        >>> import torch
        >>> pad_image(torch.ones(1, 3, 17, 32), 16).shape
        torch.Size([1, 3, 32, 32])
    """
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, below)) if below or right else image


def cut_map(
    feature_map: Float[Tensor, "B C h w"], padded: Float[Tensor, "B 3 H2 W2"], size: tuple[int, int]
) -> Float[Tensor, "B C h2 w2"]:
    """Crop a feature map of a padded image to the cells that the image itself touches.

    Args:
        feature_map: A map whose sides divide those of the padded image.
        padded: The image that `pad_image` returned.
        size: Height and width of the image in pixels before it was padded.

    Returns:
        A view of ceil(height / stride) x ceil(width / stride) cells.

    Example:
        >>> import torch
        >>> padded = pad_image(torch.ones(1, 3, 17, 32), 16)
        >>> cut_map(torch.ones(1, 8, 8, 8), padded, size=(17, 32)).shape
        torch.Size([1, 8, 5, 8])
    """
    rows, columns = (
        -(-side * cells // whole)
        for side, cells, whole in zip(size, feature_map.shape[-2:], padded.shape[-2:], strict=True)
    )
    return feature_map[..., :rows, :columns]
