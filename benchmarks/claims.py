"""The claims of docs/reproduction.md: what the five papers say about their systems.

The arms are those of configs/studies/reproduction.yaml.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.papers import (
    DEAD,
    DICE,
    HEATMAP,
    JOINTS,
    PCK,
    PCKH,
    RMSE,
    TO_MEAN_POSE,
    of_poses,
)
from benchmarks.study_runs import PEOPLE, Figure, Run, at_end

__all__ = [
    "CLAIMS",
    "CONSTANT_MAP",
    "EMPTY_MAP",
    "GOAL",
    "MEAN_MAP",
    "PAIRS",
    "Claim",
    "PairedClaim",
    "Says",
    "empty_map",
]

Says = Literal["higher", "lower", "alike", "not higher"]
"""How a claim compares the first of two figures with the second."""


@dataclass(frozen=True)
class Claim:
    """What a paper says about two of its systems.

    Attributes:
        text: The claim.
        figure: The figure that decides it.
        first: The arm that the claim puts first.
        second: The other arm.
        says: Which is higher.
        second_figure: The figure of the second arm if it is another one.
        limit: If given, the claim says that the figure is above it in every run of the first arm,
            and below it in every run of the second.
        needs_learning: Whether it says nothing of networks that have learnt no more than the mean
            pose.
        published: The difference that the paper reports.
    """

    text: str
    figure: Figure
    first: str
    second: str
    says: Says
    second_figure: Figure | None = None
    limit: float | None = None
    needs_learning: bool = False
    published: float | None = None


@dataclass(frozen=True)
class PairedClaim:
    """What a paper says about two figures of the same runs.

    Attributes:
        text: The claim.
        figure: What both figures are.
        names: What is different between them.
        arm: The arm.
        of: Both figures of a run.
        says: Which is higher.
        digits: How many decimals to write.
        needs_learning: Whether it says nothing of networks that have learnt no more than the mean
            pose.
    """

    text: str
    figure: str
    names: tuple[str, str]
    arm: str
    of: Callable[[Run], tuple[float, float]]
    says: Says
    digits: int = 3
    needs_learning: bool = False


EMPTY_MAP = 0.00412191
"""The squared error of an all-zero map at scale 1, on the targets of the 750 validation people in
the study's 96 x 96 crops: `benchmarks/empty_map.py` measured it."""

MEAN_MAP = 0.9686
"""The squared error of the mean map of these people divided by that of the all-zero map: a heatmap
with a larger one has learnt nothing of the person. Also by `benchmarks/empty_map.py`."""

CONSTANT_MAP = 0.983
"""That of the best constant map. Also by `benchmarks/empty_map.py`."""

GOAL = 0.8
"""The Dice until which epochs are counted."""

_BATCHES = at_end("train/loss", "training loss, mean of the last 5 batches logged", 4, last=5)
_LATE_PCK = at_end("val/coordinates/PCK", "PCK@0.2, mean of the last 4 validations", last=4)
_EPOCHS = Figure(
    f"epochs to a Dice of {GOAL}",
    lambda run: run.epochs(run.steps_to("val/mask/Dice", GOAL), PEOPLE),
    1,
)


def empty_map(scale: float) -> float:
    """The squared error of an all-zero map for a head with this `scale`."""
    return EMPTY_MAP * scale**2


def _relative_to_empty_map(scale: float) -> Figure:
    """The squared error divided by that of an all-zero map, for a head with this `scale`."""
    return Figure(
        "squared error at the end, relative to that of an all-zero map",
        lambda run: run.curve("val/loss/heatmap")[-1][1] / empty_map(scale),
    )


def _growth_along_the_sequence(run: Run) -> float:
    """The error at the last four joints over that at the first four, each of the mean pose's."""
    ratio = run.poses.error / run.poses.constant
    return float(np.nanmean(ratio[-4:]) / np.nanmean(ratio[:4]))


def _end_and_half(run: Run) -> tuple[float, float]:
    """PCK at the end, and half-way."""
    steps = run.result["steps"]
    return run.at("val/coordinates/PCK", steps), run.at("val/coordinates/PCK", steps / 2)


def _losses_at_the_end(run: Run) -> tuple[float, float]:
    """The loss of the last weights on validation and on training people."""
    return run.curve("val/loss")[-1][1], run.last_on_training_people("val/loss")


def _gaps(run: Run) -> tuple[float, float]:
    """Validation loss minus training loss after the 25th epoch, and in the five before."""
    late, early = (
        run.in_epochs("val/loss", *epochs) - run.in_epochs("train/loss", *epochs)
        for epochs in ((26, 30), (21, 25))
    )
    return late, early


CLAIMS: tuple[Claim | PairedClaim, ...] = (
    Claim(
        "Batch norm lowers the training loss.",
        _BATCHES,
        "cnn11",
        "cnn11_no_bn",
        "lower",
        needs_learning=True,
    ),
    Claim(
        "Batch norm does not raise the test accuracy.",
        _LATE_PCK,
        "cnn11",
        "cnn11_no_bn",
        "not higher",
        needs_learning=True,
    ),
    PairedClaim(
        "With batch norm, the test accuracy reaches a plateau.",
        "PCK@0.2",
        ("at the end", "half-way"),
        "cnn11",
        _end_and_half,
        "alike",
        needs_learning=True,
    ),
    Claim(
        f"(Ours) With the paper's dropout, the 11-layer CNN stays at the mean pose (above {DEAD}); "
        f"without it, it does not (below {DEAD}).",
        TO_MEAN_POSE,
        "cnn11",
        "cnn11_no_dropout",
        "higher",
        limit=DEAD,
    ),
    Claim(
        "(Ours) Batch norm lowers the training loss, also without dropout.",
        _BATCHES,
        "cnn11_no_dropout",
        "cnn11_no_bn_no_dropout",
        "lower",
        needs_learning=True,
    ),
    Claim(
        "(Ours) Batch norm does not raise the test accuracy, also without dropout.",
        _LATE_PCK,
        "cnn11_no_dropout",
        "cnn11_no_bn_no_dropout",
        "not higher",
        needs_learning=True,
    ),
    PairedClaim(
        "(Ours) With batch norm, the test accuracy reaches a plateau, also without dropout.",
        "PCK@0.2",
        ("at the end", "half-way"),
        "cnn11_no_dropout",
        _end_and_half,
        "alike",
        needs_learning=True,
    ),
    Claim(
        "The mask is better with softmax joints beside it (0.922 against 0.919).",
        DICE,
        "unet_mask_softmax",
        "unet_mask",
        "higher",
        published=0.003,
    ),
    Claim(
        "The mask is worse with the regression heatmap beside it (0.888).",
        DICE,
        "unet_mask_heatmap",
        "unet_mask",
        "lower",
        published=-0.031,
    ),
    Claim(
        "The mask is worse with the regression heatmap and the softmax joints beside it (0.886).",
        DICE,
        "unet_triple",
        "unet_mask",
        "lower",
        published=-0.033,
    ),
    Claim(
        "(Ours) The mask is better if the heatmap beside it has a scale of 1 in place of 100, so "
        "that its loss is smaller by a factor of 10,000.",
        DICE,
        "unet_mask_heatmap_scale_1",
        "unet_mask_heatmap",
        "higher",
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
        "The Harmonic U-Net's mask is not better after equal steps (0.911 against 0.919).",
        DICE,
        "harmonic_unet_mask",
        "unet_mask",
        "not higher",
        published=-0.008,
    ),
    Claim(
        "The Harmonic U-Net needs more epochs for an equally good mask.",
        _EPOCHS,
        "harmonic_unet_mask",
        "unet_mask",
        "higher",
    ),
    Claim(
        "Without the factor of 100, every pixel of the heatmap goes to zero (above "
        f"{CONSTANT_MAP:.3f}, the best constant map); with it, they do not (below it).",
        _relative_to_empty_map(1.0),
        "unet_mask_heatmap_scale_1",
        "unet_mask_heatmap",
        "higher",
        second_figure=_relative_to_empty_map(100.0),
        limit=CONSTANT_MAP,
    ),
    Claim(
        "(Ours) Without the factor of 100, the heatmap learns nothing of the person (above "
        f"{MEAN_MAP:.3f}, the mean map); with it, it does (below it).",
        _relative_to_empty_map(1.0),
        "unet_mask_heatmap_scale_1",
        "unet_mask_heatmap",
        "higher",
        second_figure=_relative_to_empty_map(100.0),
        limit=MEAN_MAP,
    ),
    Claim(
        "The LSTM is worse than plain regression (0.215 against 0.328).",
        PCKH,
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
        published=-0.113,
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
        f"The LSTM predicts little more than the mean pose (above {DEAD}), and plain regression "
        f"more (below {DEAD}).",
        TO_MEAN_POSE,
        "vgg16_lstm",
        "vgg16_regression",
        "higher",
        limit=DEAD,
    ),
    Claim(
        "The LSTM's predictions are less diverse than those of plain regression.",
        of_poses("spread of predictions, relative to the truth", lambda poses: poses.spread),
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
    ),
    Claim(
        "The LSTM's predictions are nearer to the mean pose than those of plain regression.",
        of_poses("distance to the mean pose, relative to the truth", lambda poses: poses.to_mean),
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
    ),
    Claim(
        "Another person's image makes less of a difference to the LSTM.",
        of_poses(
            "error with shuffled images, relative to that with the right ones",
            lambda poses: poses.shuffled / poses.error,
        ),
        "vgg16_lstm",
        "vgg16_regression",
        "lower",
    ),
    Claim(
        "The LSTM's errors grow along the sequence, compared with those of plain regression at the "
        "same joints.",
        Figure(
            "error of the last four joints divided by that of the first four, each relative to the "
            "mean pose",
            _growth_along_the_sequence,
        ),
        "vgg16_lstm",
        "vgg16_regression",
        "higher",
    ),
    PairedClaim(
        "A gap opens between the training and the validation loss of ConvPose.",
        "squared error at the end, crop from -1 to 1",
        ("validation people", "training people"),
        "convpose",
        _losses_at_the_end,
        "higher",
        4,
    ),
    PairedClaim(
        "The gap of ConvPose grows after 25 epochs.",
        "validation loss minus logged training loss",
        ("epochs 26 to 30", "epochs 21 to 25"),
        "convpose",
        _gaps,
        "higher",
        4,
    ),
)

PAIRS = (
    ("harmonic_unet_mask", "unet_mask", DICE),
    ("unet_mask_softmax", "unet_mask", DICE),
    ("unet_mask_softmax_regression", "unet_mask", DICE),
    ("unet_mask_heatmap", "unet_mask", DICE),
    ("unet_triple", "unet_mask", DICE),
    ("cnn11", "cnn11_no_bn", PCK),
    ("cnn11_no_dropout", "cnn11_no_bn_no_dropout", PCK),
    ("resnet_fcn", "resnet_deconv", HEATMAP[0]),
    ("vgg16_lstm", "vgg16_regression", PCKH),
    ("vgg16_lstm", "vgg16_regression", RMSE),
    ("vgg16_attention_lstm", "vgg16_regression", PCKH),
    ("vgg16_attention_lstm", "vgg16_lstm", PCKH),
)
"""Two arms to compare at equal time, and by what."""
