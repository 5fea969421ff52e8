"""The cross entropy of joint labels, one class a cell."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_pose.losses.mean import weighted_mean

__all__ = ["joint_cross_entropy"]


def joint_cross_entropy(
    output: Float[Tensor, "B C h w"],
    target: Int64[Tensor, "B h w"],
    weight: Float[Tensor, "B C h w"],
) -> Float[Tensor, ""]:
    """The cross entropy of a softmax over channels at each cell, balanced against the background.

    Half of it is the mean over the cells of joints, half the mean over the cells of the background:
    joints cover a few per cent of a fine grid, and a plain mean would first learn that all is
    background.

    Args:
        output: Logits, channel 0 being the background.
        target: The class of each cell.
        weight: 0 for a cell that is not known, and for the channel of a joint that is not labelled
            for this person, which then takes no part in the softmax.

    Returns:
        The balanced mean over the known cells of the batch.

    Example:
        >>> target = torch.tensor([[[0, 1]]])
        >>> joint_cross_entropy(torch.zeros(1, 2, 1, 2), target, torch.ones(1, 2, 1, 2))
        tensor(0.6931)
    """
    # A finite stand-in for minus infinity, so that a person without labels makes no NaN.
    logits = output.float().masked_fill(weight == 0, torch.finfo(torch.float32).min)
    entropy = F.cross_entropy(logits, target, reduction="none")
    known = weight[:, 0]
    is_joint = (target > 0).float()
    joints = weighted_mean(entropy, known * is_joint)
    background = weighted_mean(entropy, known * (1 - is_joint))
    return (joints + background) / 2
