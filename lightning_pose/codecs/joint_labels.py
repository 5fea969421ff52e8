"""Joint labels, one class per cell: the background or the nearest joint."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lightning_pose.codecs.heatmaps import blur, find_peaks, windows

__all__ = ["decode_joint_labels", "encode_joint_labels", "joint_radius"]

# The search for a disc around the peak of a joint's map: its reach in radii of the disc, and its
# step in cells.
_REACH, _STEP = 0.8, 0.25


def joint_radius(sigma: float, threshold: float) -> float:
    """The distance in cells up to which a joint's Gaussian of height 1 exceeds a threshold.

    Example:
        >>> round(joint_radius(sigma=1.0, threshold=0.01), 3)
        3.035
    """
    return sigma * math.sqrt(-2 * math.log(threshold))


def encode_joint_labels(
    points: Float[Tensor, "B K 2"],
    labelled: Bool[Tensor, "B K"],
    shape: tuple[int, int],
    radius: float,
) -> Int64[Tensor, "B h w"]:
    """Assign each cell to the nearest labelled joint within a radius, or to the background.

    Args:
        points: (x, y) in cells of the grid.
        labelled: False for a joint that gets no cells.
        shape: Rows and columns of the grid.
        radius: Largest distance in cells from a joint to the centre of any of its cells.

    Returns:
        0 for the background, k + 1 for joint k.

    Example:
        >>> points = torch.tensor([[[0.0, 0.0], [4.0, 0.0]]])
        >>> encode_joint_labels(points, torch.tensor([[True, True]]), (1, 6), radius=1.5)
        tensor([[[1, 1, 0, 2, 2, 2]]])
    """
    columns = torch.arange(shape[1], device=points.device) - points[..., 0, None]
    rows = torch.arange(shape[0], device=points.device) - points[..., 1, None]
    # Far beyond any grid, but finite: 0 times infinity would be NaN.
    columns = columns.masked_fill(~labelled[..., None], 1e9)
    rows = rows.masked_fill(~labelled[..., None], 1e9)
    squared = rows.square()[..., :, None] + columns.square()[..., None, :]  # (B, K, h, w)
    nearest, joint = squared.min(dim=1)
    return (joint + 1).masked_fill(nearest >= radius**2, 0)


def decode_joint_labels(
    probability: Float[Tensor, "B C h w"], radius: float
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Find the centre of the disc that each joint covers.

    The inside of a disc is flat, so its largest cell says little about the centre. The peak of the
    blurred map locates the disc to within a cell or two. Near that peak, the centre is the point
    inside the image around which a disc covers the most of the joint and the least of the
    background, on the scale of the joint's probabilities there. Cells of other joints count
    neither way, and there are no cells beyond the image's edge, so a disc that is cut off by a
    neighbour or by the edge keeps the centre of the whole disc.

    Args:
        probability: Channel 0 is the background, and the channels of a cell sum to 1.
        radius: Radius of a disc in cells.

    Returns:
        (x, y) in cells, and the largest probability of each joint.

    Example:
        >>> points = torch.tensor([[[6.2, 7.8]]])
        >>> labels = encode_joint_labels(points, torch.tensor([[True]]), (16, 16), radius=3.0)
        >>> one_hot = torch.nn.functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()
        >>> decode_joint_labels(one_hot, radius=3.0)[0].round(decimals=1)
        tensor([[[6.3000, 7.7000]]])
    """
    joints = probability[:, 1:]
    # Minus the minimum: the blur has zeros beyond the edge, so a flat map would peak in the middle.
    peaks, _ = find_peaks(blur(joints - joints.amin(dim=(2, 3), keepdim=True), radius / 2))
    reach = _REACH * radius
    window = math.ceil(radius + reach)
    joint = windows(joints, peaks, window)
    either = windows(joints + probability[:, :1], peaks, window)
    # Scaled to 1 in the disc and -1 in the background. With plain probabilities, where the network
    # is unsure, a disc that lies mostly outside the image would cover less background and win. What
    # varies by less than 0.05 is left flat, because scaling would only magnify its noise.
    high = joint.amax(dim=(2, 3), keepdim=True)
    share = torch.where(either > 0.01, joint / either.clamp_min(0.01), high)
    low = share.amin(dim=(2, 3), keepdim=True)
    evidence = (2 * joint - (high + low) * either) / (high - low).clamp_min(0.05)
    evidence = evidence.flatten(2)

    count = 2 * math.ceil(reach / _STEP) + 1
    steps = torch.linspace(-reach, reach, count, device=peaks.device)
    cells = torch.arange(-window, window + 1, device=peaks.device)
    squared = (cells[:, None] - steps).square()  # (cells, centres) along one axis
    distance = squared[:, None, :, None] + squared[None, :, None, :]
    discs = (distance < radius**2).flatten(0, 1).flatten(1).float()
    # Autocast would compute the product in bfloat16.
    with torch.autocast(probability.device.type, enabled=False):
        agreement = evidence @ discs  # (B, K, centres)
    # Joints outside the image are unlabelled, so there are no centres there.
    centres = peaks[..., None] + steps  # (B, K, 2, count)
    last = peaks.new_tensor([joints.shape[3] - 1, joints.shape[2] - 1])[:, None]
    inside = (centres >= -0.5) & (centres <= last + 0.5)
    inside = inside[..., 1, :, None] & inside[..., 0, None, :]
    agreement = agreement.masked_fill(~inside.flatten(2), -torch.inf)
    weight = agreement.softmax(dim=2).view(*peaks.shape[:2], count, count)
    offset = torch.stack(
        ((weight.sum(dim=2) * steps).sum(dim=2), (weight.sum(dim=3) * steps).sum(dim=2)), dim=-1
    )
    return peaks + offset, joints.amax(dim=(2, 3))
