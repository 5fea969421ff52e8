"""The rows of docs/reproduction.md: what the five papers report and claim, and our figures for it.

The arms are those of configs/studies/reproduction.yaml.
"""

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.study_runs import Figure, Run, at_best, at_end

__all__ = ["CLAIMS", "SYSTEMS", "Claim", "System"]


@dataclass(frozen=True)
class System:
    """A system of a paper.

    Attributes:
        arm: The arm of the study, which has the name of its config.
        protocol: What the paper trained on, and how.
        published: Its result on training and validation images, or on those named.
        figures: Ours, on validation images.
        difference: The likely reason for a difference.
    """

    arm: str
    protocol: str
    published: str
    figures: tuple[Figure, ...]
    difference: str


@dataclass(frozen=True)
class Claim:
    """What a paper says about two of its systems.

    Attributes:
        text: The claim.
        figure: The figure that decides it.
        first: The arm that the claim puts first.
        second: The other arm.
        sign: 1 if the claim says that the figure is larger for the first, -1 if smaller, and 0 if
            it says that both are alike.
        second_figure: The figure of the second arm if it is another one.
    """

    text: str
    figure: Figure
    first: str
    second: str
    sign: int
    second_figure: Figure | None = None


PCK = at_best("coordinates/PCK", "PCK@0.2")
PCKH = at_best("coordinates/PCKh", "PCKh@0.5")
RMSE = at_best("coordinates/RMSE", "RMSE in px", 1)
DICE = at_best("mask/Dice", "Dice")
JOINTS = at_best("joints/PCK", "PCK@0.2 of the softmax joints")
ENTROPY = at_end("val/loss/joints", "cross entropy", 4)
SQUARES = at_end("val/loss/heatmap", "squared error", 1)
TRAIN_LOSS = at_end("train/loss", "training loss at the end", 4, last=5)
HEATMAP = (at_best("heatmap/PCKh", "PCKh@0.5"), at_best("heatmap/PCK", "PCK@0.2"))

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
    "a quarter of the width, batches of 16 at a rate of 1e-3, 96 x 96 crops of one set, 6 epochs; "
    "masks by BlazePose"
)
_VGG_GAP = "other people and joints, 112 x 112, a quarter of the width or less"


def _gap(run: Run, part: float) -> float:
    """Validation loss minus training loss after a part of the training."""
    steps = part * run.result["steps"]
    validated = [value for at, value in run.curve("val/loss") if at <= steps][-1]
    trained = [value for at, value in run.curve("train/loss") if at <= steps][-4:]
    return validated - float(np.mean(trained))


def _left_of_an_empty_map(scale: float) -> Figure:
    """The squared error divided by that of an all-zero map.

    The targets are taken as 14 Gaussians of height 1 and sigma 1 on 96 x 96 pixels that do not
    overlap.
    """
    empty = 14 * math.pi / 96**2 * scale**2
    return Figure(
        "squared error, relative to an all-zero map",
        lambda run: run.curve("val/loss/heatmap")[-1][1] / empty,
        2,
    )


SYSTEMS = (
    System("cnn11", _LSP, "none", (PCK, TRAIN_LOSS), "nothing to compare with"),
    System("cnn11_no_bn", _LSP, "none", (PCK, TRAIN_LOSS), "nothing to compare with"),
    System(
        "resnet_deconv",
        _MPII,
        "pictures only; its baseline's paper: PCKh@0.5 88.5 on MPII with ResNet-50",
        HEATMAP,
        "ResNet-18 from random weights at 128 x 128, 4 epochs in place of 140",
    ),
    System("resnet_fcn", _MPII, "pictures only", HEATMAP, "nothing to compare with"),
    System("unet_mask", _MIX, "Dice 0.971 / 0.919", (DICE,), _UNET_GAP),
    System("harmonic_unet_mask", _MIX, "Dice 0.964 / 0.911", (DICE,), _UNET_GAP),
    System(
        "unet_mask_heatmap",
        _MIX,
        "Dice 0.899 / 0.888, squared error 11.35 / 14.74",
        (DICE, SQUARES),
        _UNET_GAP,
    ),
    System(
        "unet_mask_softmax",
        _MIX,
        "Dice 0.978 / 0.922, cross entropy 0.022 / 0.056",
        (DICE, ENTROPY, JOINTS),
        _UNET_GAP,
    ),
    System(
        "unet_mask_softmax_regression",
        _MIX,
        "Dice 0.975 / 0.921, cross entropy 0.007 / 0.014",
        (DICE, ENTROPY, JOINTS),
        _UNET_GAP,
    ),
    System(
        "unet_triple",
        _MIX,
        "Dice 0.896 / 0.886, squared error 11.92 / 14.74, cross entropy 0.076 / 0.084",
        (DICE, SQUARES, ENTROPY, JOINTS),
        _UNET_GAP,
    ),
    System("vgg16_regression", _VGG, "PCKh@0.5 32.8", (PCKH, RMSE), _VGG_GAP),
    System("vgg16_lstm", _VGG, "PCKh@0.5 21.5", (PCKH, RMSE), _VGG_GAP),
    System(
        "vgg16_attention_lstm",
        _VGG,
        "none; it did not improve on the LSTM",
        (PCKH, RMSE),
        "nothing to compare with",
    ),
    System(
        "convpose",
        "LSPE, 10,000 images, 70/15/15, 224 x 224; SGD, 25 epochs",
        "squared error 0.0878 on test images, in an unknown unit",
        (
            Figure("squared error, crop from -1 to 1", lambda run: -run.result["main"], 4),
            PCK,
        ),
        "the unit; half the input size, a quarter of the width, fewer epochs",
    ),
)

CLAIMS = (
    Claim("Batch norm lowers the training loss.", TRAIN_LOSS, "cnn11", "cnn11_no_bn", -1),
    Claim("Batch norm does not raise the test accuracy.", PCK, "cnn11", "cnn11_no_bn", 0),
    Claim(
        "The mask is better with softmax joints beside it (0.922 against 0.919).",
        DICE,
        "unet_mask_softmax",
        "unet_mask",
        1,
    ),
    Claim(
        "The mask is worse with the regression heatmap beside it (0.888).",
        DICE,
        "unet_mask_heatmap",
        "unet_mask",
        -1,
    ),
    Claim("The mask is worse with both beside it (0.886).", DICE, "unet_triple", "unet_mask", -1),
    Claim(
        "Softmax and softmax regression have masks alike.",
        DICE,
        "unet_mask_softmax",
        "unet_mask_softmax_regression",
        0,
    ),
    Claim(
        "Softmax and softmax regression have joints alike.",
        JOINTS,
        "unet_mask_softmax",
        "unet_mask_softmax_regression",
        0,
    ),
    Claim(
        "The Harmonic U-Net's mask is not better after as many steps (0.911 against 0.919).",
        DICE,
        "harmonic_unet_mask",
        "unet_mask",
        -1,
    ),
    Claim(
        "Without the factor of 100, every pixel of the regression heatmap goes to zero.",
        _left_of_an_empty_map(1.0),
        "unet_mask_heatmap_scale_1",
        "unet_mask_heatmap",
        1,
        second_figure=_left_of_an_empty_map(100.0),
    ),
    Claim("The LSTM is worse than plain regression.", PCKH, "vgg16_lstm", "vgg16_regression", -1),
    Claim("The LSTM is worse than plain regression.", RMSE, "vgg16_lstm", "vgg16_regression", 1),
    Claim("Attention does not help the LSTM.", PCKH, "vgg16_attention_lstm", "vgg16_lstm", 0),
    Claim(
        "The LSTM falls to the mean pose: its predictions are less diverse.",
        Figure(
            "spread of predictions, relative to the truth",
            lambda run: float(np.nanmean(run.poses.spread)),
            2,
        ),
        "vgg16_lstm",
        "vgg16_regression",
        -1,
    ),
    Claim(
        "ConvPose's gap between training and validation opens.",
        Figure("validation minus training loss at the end", lambda run: _gap(run, 1.0), 4),
        "convpose",
        "convpose",
        1,
        second_figure=Figure("the same half-way", lambda run: _gap(run, 0.5), 4),
    ),
)
