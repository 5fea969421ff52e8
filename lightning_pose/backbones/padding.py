"""Odd picture sizes: pad at the right and below, and cut the maps to the cells that count."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cut_map", "pad_picture"]


def pad_picture(image: Float[Tensor, "B 3 H W"], multiple: int) -> Float[Tensor, "B 3 H2 W2"]:
    """Pad pictures at the right and below, so that both sides are multiples of `multiple`.

    Nothing is added at the left and above: cell 0 of every grid stays where
    `lightning_pose.geometry.to_grid` expects it.

    Args:
        image: Normalised pictures; the padding is 0, the mean colour.
        multiple: What the sides must divide by, in pixels.

    Returns:
        The padded pictures, the same tensor where there was nothing to pad.

    Example:
        >>> import torch
        >>> pad_picture(torch.ones(1, 3, 17, 32), 16).shape
        torch.Size([1, 3, 32, 32])
    """
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, below)) if below or right else image


def cut_map(
    feature_map: Float[Tensor, "B C h w"], padded: Float[Tensor, "B 3 H2 W2"], size: tuple[int, int]
) -> Float[Tensor, "B C h2 w2"]:
    """Cut a feature map of a padded picture to the cells that the picture itself touches.

    Args:
        feature_map: A map whose sides divide those of the padded picture.
        padded: The picture that `pad_picture` returned.
        size: Height and width of the picture in pixels before it was padded.

    Returns:
        A view of ceil(height / stride) x ceil(width / stride) cells.

    Example:
        >>> import torch
        >>> padded = pad_picture(torch.ones(1, 3, 17, 32), 16)
        >>> cut_map(torch.ones(1, 8, 8, 8), padded, size=(17, 32)).shape
        torch.Size([1, 8, 5, 8])
    """
    rows, columns = (
        -(-side * cells // whole)
        for side, cells, whole in zip(size, feature_map.shape[-2:], padded.shape[-2:], strict=True)
    )
    return feature_map[..., :rows, :columns]
