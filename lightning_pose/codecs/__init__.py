"""Codecs: pairs of pure functions that encode labels as targets and decode outputs to labels.

They work in the grid of a feature map, in which an integer is the centre of a cell;
`lightning_pose.geometry` converts to and from the image.
"""

from lightning_pose.codecs.bins import decode_bins, encode_bins
from lightning_pose.codecs.heatmaps import (
    decode_argmax,
    decode_dark,
    decode_expectation,
    decode_quarter,
    encode_gaussian,
)
from lightning_pose.codecs.joint_labels import decode_joint_labels, encode_joint_labels
from lightning_pose.codecs.masks import decode_mask, encode_mask, known_cells
from lightning_pose.codecs.shared_heatmaps import encode_shared_heatmap

__all__ = [
    "decode_argmax",
    "decode_bins",
    "decode_dark",
    "decode_expectation",
    "decode_joint_labels",
    "decode_mask",
    "decode_quarter",
    "encode_bins",
    "encode_gaussian",
    "encode_joint_labels",
    "encode_mask",
    "encode_shared_heatmap",
    "known_cells",
]
