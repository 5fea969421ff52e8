"""The cross entropy of joint labels, one class per cell."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_pose.losses.terms import LossTerms, weighted_sum

__all__ = ["joint_cross_entropy"]


def joint_cross_entropy(
    output: Float[Tensor, "B C h w"],
    target: Int64[Tensor, "B h w"] | Float[Tensor, "B C h w"],
    weight: Float[Tensor, "B C h w"],
    balanced: bool = True,
) -> LossTerms:
    """The cross entropy of a softmax over channels at each cell.

    Joints cover a few per cent of a fine grid: in the mean over all cells they hardly count, and
    the network first learns that everything is background. In the balanced loss, half is the mean
    over the cells of joints, half the mean over the cells of the background.

    Args:
        output: Logits; channel 0 is the background.
        target: The class of each cell, or its share of each class, which need not add up to 1.
        weight: 0 for unknown cells, and for the channel of a joint that is unlabelled for this
            person, which is then left out of the softmax.
        balanced: Whether joints and background count half each; otherwise every cell counts the
            same.

    Returns:
        Half the mean over the known cells of joints and half that over the background, as two
        terms; or one term that counts the known cells.

    Example:
        >>> target = torch.tensor([[[0, 1]]])
        >>> joint_cross_entropy(torch.zeros(1, 2, 1, 2), target, torch.ones(1, 2, 1, 2)).mean()
        tensor(0.6931)
    """
    # A finite stand-in for minus infinity, so that a person without labels causes no NaN.
    logits = output.float().masked_fill(weight == 0, torch.finfo(torch.float32).min)
    entropy = F.cross_entropy(logits, target, reduction="none")
    known = weight[:, 0]
    if not balanced:
        return weighted_sum(entropy, known)
    is_joint = (target > 0 if target.dim() == 3 else target[:, 0] == 0).float()
    joints = weighted_sum(entropy, known * is_joint)
    background = weighted_sum(entropy, known * (1 - is_joint))
    return LossTerms.join(joints.times(0.5), background.times(0.5))
