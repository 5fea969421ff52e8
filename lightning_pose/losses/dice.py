"""Soft Dice, a differentiable overlap of masks."""

from jaxtyping import Float
from torch import Tensor

from lightning_pose.losses.terms import LossTerms, weighted_sum

__all__ = ["soft_dice"]


def soft_dice(
    output: Float[Tensor, "B h w"],
    target: Float[Tensor, "B h w"],
    weight: Float[Tensor, "B h w"],
    smooth: float = 1.0,
) -> LossTerms:
    """One minus the soft Dice of each image, averaged over the images that have a mask.

    This is the form with squares in the denominator (V-Net, Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797). Unlike the form with plain sums, it is exactly 0 where the
    output equals a fractional target, as in cells on the outline of a person.

    Args:
        output: Probability of the foreground.
        target: Fraction of the foreground, 0 to 1.
        weight: How much of a cell is known, 0 to 1.
        smooth: Cells added to numerator and denominator, so that two empty masks agree.

    Returns:
        One term that counts each image with any known cell; its mean is from 0 to 1.

    Example:
        >>> import torch
        >>> output, target = torch.tensor([[[1.0, 0.5, 0.0]]]), torch.tensor([[[1.0, 0.5, 0.0]]])
        >>> soft_dice(output, target, torch.ones(1, 1, 3)).mean()
        tensor(0.)
        >>> soft_dice(1 - output, target, torch.ones(1, 1, 3), smooth=0.0).mean()
        tensor(0.8000)
    """
    output = output.float()
    total = (weight * (output.square() + target.square())).sum(dim=(1, 2))
    # 1 - (2 pt + smooth) / (pp + tt + smooth), written so that it is exactly 0 where p is t.
    loss = (weight * (output - target).square()).sum(dim=(1, 2)) / (total + smooth)
    return weighted_sum(loss, (weight.amax(dim=(1, 2)) > 0).float())
