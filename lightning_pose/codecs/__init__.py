"""Codecs: pairs of pure functions that turn labels into targets, and outputs back into labels.

Their frame is the grid of a feature map, an integer being the centre of a cell;
`lightning_pose.geometry` leads from it to the picture.
"""

from lightning_pose.codecs.heatmaps import (
    decode_argmax,
    decode_dark,
    decode_quarter,
    encode_gaussian,
)
from lightning_pose.codecs.joint_labels import decode_joint_labels, encode_joint_labels
from lightning_pose.codecs.masks import decode_mask, encode_mask, known_cells

__all__ = [
    "decode_argmax",
    "decode_dark",
    "decode_joint_labels",
    "decode_mask",
    "decode_quarter",
    "encode_gaussian",
    "encode_joint_labels",
    "encode_mask",
    "known_cells",
]
