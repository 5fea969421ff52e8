"""The rows of docs/reproduction.md: what the five papers report and claim, and our figures for it.

The arms are those of configs/studies/reproduction.yaml.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from benchmarks.mean_pose import MeanPose, growth
from benchmarks.study_runs import Figure, Run, at_best, at_end

__all__ = ["CLAIMS", "PAIRS", "SYSTEMS", "Claim", "System"]

Says = Literal["higher", "lower", "alike", "not higher"]
"""What a claim says of the figure of the first arm, compared with that of the second."""


@dataclass(frozen=True)
class System:
    """A system of a paper.

    Attributes:
        arm: The arm of the study, which has the name of its config.
        protocol: What the paper trained on, and how.
        published: Its result on training and validation images, or on those named.
        figures: Ours, on validation images.
        reasons: The likely reasons for a difference.
        values: Its result in numbers, by the name of our figure of the same measure.
    """

    arm: str
    protocol: str
    published: str
    figures: tuple[Figure, ...]
    reasons: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """What a paper says about two of its systems.

    Attributes:
        text: The claim.
        figure: The figure that decides it.
        first: The arm that the claim puts first.
        second: The other arm.
        says: Which is higher. Only a clearly higher figure of the first refutes "not higher".
        second_figure: The figure of the second arm if it is another one.
        limit: If given, the claim says that the figure is above it in every run of the first arm,
            and below it in every run of the second.
    """

    text: str
    figure: Figure
    first: str
    second: str
    says: Says
    second_figure: Figure | None = None
    limit: float | None = None


PCK = at_best("coordinates/PCK", "PCK@0.2")
PCKH = at_best("coordinates/PCKh", "PCKh@0.5")
RMSE = at_best("coordinates/RMSE", "RMSE in px", 1)
DICE = at_best("mask/Dice", "Dice")
JOINTS = at_best("joints/PCK", "PCK@0.2 of the softmax joints")
ENTROPY = at_best("loss/joints", "cross entropy", 4)
SQUARES = at_best("loss/heatmap", "squared error", 1)
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


EMPTY_MAP = 0.00412191
"""The squared error of an all-zero map at scale 1, on the targets of the 750 validation people in
the study's 96 x 96 crops: `benchmarks/empty_map.py` measured it."""

DEAD = 0.95
"""A map has learnt nothing if its squared error is more than this part of that of an all-zero map.
A constant map reaches 0.98 on these targets."""


def _gap(run: Run, part: float) -> float:
    """Validation loss minus training loss after a part of the training."""
    steps = part * run.result["steps"]
    validated = [value for at, value in run.curve("val/loss") if at <= steps][-1]
    trained = [value for at, value in run.curve("train/loss") if at <= steps][-4:]
    return validated - float(np.mean(trained))


def _left_of_an_empty_map(scale: float) -> Figure:
    """The squared error divided by that of an all-zero map, which it was trained with `scale`."""
    return Figure(
        "squared error, relative to an all-zero map",
        lambda run: run.best("val/loss/heatmap") / (EMPTY_MAP * scale**2),
    )


def _mean(values: np.ndarray) -> float:
    """The mean over the joints that somebody has."""
    return float(np.nanmean(values))


def _of_poses(name: str, of: Callable[[MeanPose], float]) -> Figure:
    """A figure of the predictions beside the mean pose, see benchmarks/mean_pose.py."""
    return Figure(name, lambda run: of(run.poses), 2)


SYSTEMS = (
    System("cnn11", _LSP, "none", (PCK, TRAIN_LOSS), "nothing to compare with"),
    System("cnn11_no_bn", _LSP, "none", (PCK, TRAIN_LOSS), "nothing to compare with"),
    System(
        "resnet_deconv",
        _MPII,
        "pictures only; its baseline's paper: PCKh@0.5 0.885 on MPII with ResNet-50",
        HEATMAP,
        "ResNet-18 from random weights at 128 x 128, 4 epochs in place of 140",
        {"PCKh@0.5": 0.885},
    ),
    System("resnet_fcn", _MPII, "pictures only", HEATMAP, "nothing to compare with"),
    System("unet_mask", _MIX, "Dice 0.971 / 0.919", (DICE,), _UNET_GAP, {"Dice": 0.919}),
    System("harmonic_unet_mask", _MIX, "Dice 0.964 / 0.911", (DICE,), _UNET_GAP, {"Dice": 0.911}),
    System(
        "unet_mask_heatmap",
        _MIX,
        "Dice 0.899 / 0.888, squared error 11.35 / 14.74",
        (DICE, SQUARES),
        _UNET_GAP,
        {"Dice": 0.888, "squared error": 14.74},
    ),
    System(
        "unet_mask_softmax",
        _MIX,
        "Dice 0.978 / 0.922, cross entropy 0.022 / 0.056",
        (DICE, ENTROPY, JOINTS),
        _UNET_GAP,
        {"Dice": 0.922, "cross entropy": 0.056},
    ),
    System(
        "unet_mask_softmax_regression",
        _MIX,
        "Dice 0.975 / 0.921, cross entropy 0.007 / 0.014",
        (DICE, ENTROPY, JOINTS),
        _UNET_GAP,
        {"Dice": 0.921, "cross entropy": 0.014},
    ),
    System(
        "unet_triple",
        _MIX,
        "Dice 0.896 / 0.886, squared error 11.92 / 14.74, cross entropy 0.076 / 0.084",
        (DICE, SQUARES, ENTROPY, JOINTS),
        _UNET_GAP,
        {"Dice": 0.886, "squared error": 14.74, "cross entropy": 0.084},
    ),
    System("vgg16_regression", _VGG, "PCKh@0.5 0.328", (PCKH, RMSE), _VGG_GAP, {"PCKh@0.5": 0.328}),
    System("vgg16_lstm", _VGG, "PCKh@0.5 0.215", (PCKH, RMSE), _VGG_GAP, {"PCKh@0.5": 0.215}),
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
        (at_best("loss", "squared error, crop from -1 to 1", 4), PCK),
        "the unit; half the input size, an eighth of the width",
    ),
)

CLAIMS = (
    Claim("Batch norm lowers the training loss.", TRAIN_LOSS, "cnn11", "cnn11_no_bn", "lower"),
    Claim(
        "Batch norm does not raise the test accuracy.", PCK, "cnn11", "cnn11_no_bn", "not higher"
    ),
    Claim(
        "The mask is better with softmax joints beside it (0.922 against 0.919).",
        DICE,
        "unet_mask_softmax",
        "unet_mask",
        "higher",
    ),
    Claim(
        "The mask is worse with the regression heatmap beside it (0.888).",
        DICE,
        "unet_mask_heatmap",
        "unet_mask",
        "lower",
    ),
    Claim(
        "The mask is worse with both beside it (0.886).", DICE, "unet_triple", "unet_mask", "lower"
    ),
    Claim(
        "Softmax and softmax regression give equally good masks.",
        DICE,
        "unet_mask_softmax",
        "unet_mask_softmax_regression",
        "alike",
    ),
    Claim(
        "Softmax and softmax regression give equally good joints.",
        JOINTS,
        "unet_mask_softmax",
        "unet_mask_softmax_regression",
        "alike",
    ),
    Claim(
        "The Harmonic U-Net's mask is not better after as many steps (0.911 against 0.919).",
        DICE,
        "harmonic_unet_mask",
        "unet_mask",
        "not higher",
    ),
    Claim(
        "Without the factor of 100, every pixel of the regression heatmap goes to zero, and with "
        f"it, they do not: above and below {DEAD}.",
        _left_of_an_empty_map(1.0),
        "unet_mask_heatmap_scale_1",
        "unet_mask_heatmap",
        "higher",
        second_figure=_left_of_an_empty_map(100.0),
        limit=DEAD,
    ),
    Claim(
        "The LSTM is worse than plain regression.", PCKH, "vgg16_lstm", "vgg16_regression", "lower"
    ),
    Claim(
        "The LSTM is worse than plain regression.", RMSE, "vgg16_lstm", "vgg16_regression", "higher"
    ),
    Claim(
        "Attention does not help the LSTM.",
        PCKH,
        "vgg16_attention_lstm",
        "vgg16_lstm",
        "not higher",
    ),
    Claim(
        "The LSTM falls to the mean pose: its predictions are less diverse.",
        _of_poses(
            "spread of predictions, relative to the truth", lambda poses: _mean(poses.spread)
        ),
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
    ),
    Claim(
        "The LSTM falls to the mean pose: its predictions are nearer to it.",
        _of_poses(
            "distance to the mean pose, relative to the truth", lambda poses: _mean(poses.to_mean)
        ),
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
    ),
    Claim(
        "The LSTM falls to the mean pose: another person's image matters less.",
        _of_poses(
            "error with shuffled images, relative to that with the right ones",
            lambda poses: _mean(poses.shuffled) / _mean(poses.error),
        ),
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
    ),
    Claim(
        "The LSTM's errors grow along the sequence, more than those of plain regression do in the "
        "same order.",
        _of_poses("rank correlation of error and step", lambda poses: growth(poses.error)),
        "vgg16_lstm",
        "vgg16_regression",
        "higher",
    ),
    Claim(
        "ConvPose's gap between training and validation opens (the paper: after 25 epochs).",
        Figure("validation minus training loss at the end", lambda run: _gap(run, 1.0), 4),
        "convpose",
        "convpose",
        "higher",
        second_figure=Figure("the same half-way", lambda run: _gap(run, 0.5), 4),
    ),
)

PAIRS = (
    ("harmonic_unet_mask", "unet_mask", "mask/Dice"),
    ("unet_mask_softmax", "unet_mask", "mask/Dice"),
    ("unet_mask_softmax_regression", "unet_mask", "mask/Dice"),
    ("unet_mask_heatmap", "unet_mask", "mask/Dice"),
    ("unet_triple", "unet_mask", "mask/Dice"),
    ("cnn11", "cnn11_no_bn", "coordinates/PCK"),
    ("resnet_fcn", "resnet_deconv", "heatmap/PCKh"),
    ("vgg16_lstm", "vgg16_regression", "coordinates/PCKh"),
    ("vgg16_attention_lstm", "vgg16_regression", "coordinates/PCKh"),
    ("vgg16_attention_lstm", "vgg16_lstm", "coordinates/PCKh"),
)
"""Two arms to compare at equal time, by "HEAD/METRIC"."""
