"""The systems of docs/reproduction.md: what the papers report, and the figures shown beside it.

The arms are those of configs/studies/reproduction.yaml.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.mean_pose import MeanPose
from benchmarks.study_runs import Figure, at_best

__all__ = [
    "DEAD",
    "DICE",
    "GROUPS",
    "HEATMAP",
    "JOINTS",
    "PCK",
    "PCKH",
    "RMSE",
    "SYSTEMS",
    "TO_MEAN_POSE",
    "System",
    "of_poses",
]


@dataclass(frozen=True)
class System:
    """A system of a paper.

    Attributes:
        arm: The arm of the study.
        protocol: What the paper trained on, and how.
        published: Its result on training and validation images, or on those named.
        figures: Ours.
        reasons: The likely reasons for a difference.
        values: Its result in numbers, by the name of our figure of the same measure.
        config: Its config, if that has another name than the arm.
    """

    arm: str
    protocol: str
    published: str
    figures: tuple[Figure, ...]
    reasons: str
    values: Mapping[str, float] = field(default_factory=dict)
    config: str | None = None


def of_poses(name: str, of: Callable[[MeanPose], np.ndarray]) -> Figure:
    """A figure of the predictions beside the mean pose, see benchmarks/mean_pose.py.

    Args:
        name: What it is.
        of: A value per joint; the mean is over the joints that somebody has.
    """
    return Figure(name, lambda run: float(np.nanmean(of(run.poses))), 2)


DEAD = 0.95
"""Coordinates with more than this part of the mean pose's error are counted as the mean pose."""

TO_MEAN_POSE = of_poses(
    "error, relative to that of the mean pose", lambda poses: poses.error / poses.constant
)
PCK = at_best("coordinates/PCK", "PCK@0.2")
PCKH = at_best("coordinates/PCKh", "PCKh@0.5 (head segment)")
RMSE = at_best("coordinates/RMSE", "RMSE of visible joints in px of the input", 1)
DICE = at_best("mask/Dice", "Dice")
JOINTS = at_best("joints/PCK", "PCK@0.2 of the softmax joints")
ENTROPY = at_best("loss/joints", "cross entropy", 4)
SQUARES = at_best("loss/heatmap", "squared error", 1)
HEATMAP = (
    at_best("heatmap/PCKh", "PCKh@0.5 (head segment, micro)"),
    at_best("heatmap/PCK", "PCK@0.2"),
)

_LSP = (
    "LSP and LSPE, 12,000 images, 90 % to train, stretched to 96 x 96; Adam, batches of 128; only "
    "curves are shown"
)
_MPII = "MPII, crops of 256 x 256; RMSprop; ResNet with 18 to 152 layers"
_MIX = (
    "5,000 images of LSP, MPII and fashion, 80 % to train, short side 128, 25 joints; Adam at 2e-5 "
    "with batches of 1, 100 epochs; full width; masks by Mask R-CNN"
)
_VGG = "MPII, crops of 224 x 224, 16 joints; Adam at 1e-3, halved every 1,000 steps; full width"
_UNET_GAP = (
    "a quarter of the width, batches of 16 at a rate of 1e-3, 6 epochs; 96 x 96 crops around the "
    "true joints of one set; masks by BlazePose; whether the published Dice is of a thresholded "
    "mask is not stated"
)
_MAP_GAP = (
    "as unet_mask; in 6 epochs, the joint heads have learnt little, which explains most of the "
    "larger squared error and cross entropy; 14 joints in a smaller image also fill more of it"
)
_VGG_GAP = (
    "other people, 14 joints, 112 x 112 of 1.25 times the joints' box in place of 1.475; "
    "convolutions of a quarter of the width, fully connected layers of an eighth; PCKh by MPII's "
    "shorter head size would be even lower"
)

SYSTEMS = (
    System("cnn11", _LSP, "none", (PCK, TO_MEAN_POSE), "nothing to compare with"),
    System("cnn11_no_bn", "as cnn11", "none", (PCK, TO_MEAN_POSE), "nothing to compare with"),
    System(
        "cnn11_no_dropout",
        "none: the paper has a dropout of a half after each pooling and each fully connected layer",
        "none",
        (PCK, TO_MEAN_POSE),
        "nothing to compare with",
        config="cnn11",
    ),
    System(
        "cnn11_no_bn_no_dropout",
        "none, as cnn11_no_dropout",
        "none",
        (PCK, TO_MEAN_POSE),
        "nothing to compare with",
        config="cnn11_no_bn",
    ),
    System(
        "resnet_deconv",
        _MPII,
        "pictures only; its baseline's paper: PCKh@0.5 0.885 on MPII with ResNet-50",
        HEATMAP,
        "ResNet-18 from random weights at 128 x 128, 4 epochs in place of 140, too few for the "
        "drop of the learning rate; other people and 14 joints; no flip test; PCKh by MPII's "
        "shorter head size would be even lower",
    ),
    System("resnet_fcn", "as resnet_deconv", "pictures only", HEATMAP, "nothing to compare with"),
    System("unet_mask", _MIX, "Dice 0.971 / 0.919 in 6.5 h", (DICE,), _UNET_GAP, {"Dice": 0.919}),
    System(
        "harmonic_unet_mask",
        "as unet_mask",
        "Dice 0.964 / 0.911 in 30 h",
        (DICE,),
        "as unet_mask; only this one has batch norm, as its paper says",
        {"Dice": 0.911},
    ),
    System(
        "unet_mask_heatmap",
        "as unet_mask",
        "Dice 0.899 / 0.888, squared error 11.35 / 14.74",
        (DICE, SQUARES),
        _MAP_GAP,
        {"Dice": 0.888},
    ),
    System(
        "unet_mask_heatmap_scale_1",
        "as unet_mask_heatmap, without the factor of 100",
        "every pixel of the heatmap goes to zero",
        (DICE, at_best("loss/heatmap", "squared error", 5)),
        "nothing to compare with",
        config="unet_mask_heatmap",
    ),
    System(
        "unet_mask_softmax",
        "as unet_mask",
        "Dice 0.978 / 0.922, cross entropy 0.022 / 0.056",
        (DICE, ENTROPY, JOINTS),
        _MAP_GAP,
        {"Dice": 0.922},
    ),
    System(
        "unet_mask_softmax_regression",
        "as unet_mask",
        "Dice 0.975 / 0.921, cross entropy 0.007 / 0.014",
        (DICE, ENTROPY, JOINTS),
        _MAP_GAP,
        {"Dice": 0.921},
    ),
    System(
        "unet_triple",
        "as unet_mask",
        "Dice 0.896 / 0.886, squared error 11.92 / 14.74, cross entropy 0.076 / 0.084",
        (DICE, SQUARES, ENTROPY, JOINTS),
        _MAP_GAP,
        {"Dice": 0.886},
    ),
    System("vgg16_regression", _VGG, "PCKh@0.5 0.328", (PCKH, RMSE, TO_MEAN_POSE), _VGG_GAP),
    System(
        "vgg16_lstm",
        "as vgg16_regression",
        "PCKh@0.5 0.215",
        (PCKH, RMSE, TO_MEAN_POSE),
        "as vgg16_regression; recurrent layers of full width",
    ),
    System(
        "vgg16_attention_lstm",
        "as vgg16_regression",
        "none; it did not improve on the LSTM",
        (PCKH, RMSE, TO_MEAN_POSE),
        "nothing to compare with",
    ),
    System(
        "convpose",
        "LSPE, 10,000 images, 70/15/15, 224 x 224; SGD, 25 epochs",
        "squared error 0.0878 on test images, in an unknown unit",
        (at_best("loss", "squared error, crop from -1 to 1", 4), PCK, TO_MEAN_POSE),
        "the unit; validation images, 8,500 to train, 112 x 112; convolutions of an eighth of the "
        "width, the hidden layer of a quarter; the paper's gap opens after 25 epochs, and this one "
        "at about epoch 10",
    ),
)

_JOINTS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")

GROUPS = {
    "vgg16_regression": dict(
        zip(_JOINTS, (0.520, 0.406, 0.225, 0.168, 0.317, 0.212, 0.160), strict=True)
    ),
    "vgg16_lstm": dict(
        zip(_JOINTS, (0.392, 0.252, 0.122, 0.097, 0.187, 0.166, 0.075), strict=True)
    ),
}
"""The paper's PCKh@0.5 by joint."""
