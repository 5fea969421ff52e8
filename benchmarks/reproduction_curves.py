"""The picture of docs/reproduction.md: learning curves of the systems."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.claims import empty_map
from benchmarks.study_runs import Runs

__all__ = ["PANELS", "Panel", "draw"]

_UNET = (
    *("unet_mask", "harmonic_unet_mask", "unet_mask_heatmap", "unet_mask_softmax"),
    *("unet_mask_softmax_regression", "unet_triple", "unet_mask_heatmap_scale_1"),
)
_RESNET = ("resnet_deconv", "resnet_fcn")
_VGG = ("vgg16_regression", "vgg16_lstm", "vgg16_attention_lstm")
_CNN = ("cnn11", "cnn11_no_bn")
_CNN_NO_DROPOUT = ("cnn11_no_dropout", "cnn11_no_bn_no_dropout")


@dataclass(frozen=True)
class Panel:
    """A part of the picture.

    Attributes:
        title: What its curves are.
        lines: The arms and their columns of metrics.csv, by the names of the lines.
        minutes: Whether it is drawn over minutes of training, where the speeds are known, in place
            of steps.
        top: Where the vertical axis ends, if a first value would take most of it.
        unit: What the values of an arm are divided by, 1 for those without one.
    """

    title: str
    lines: Mapping[str, tuple[str, str]]
    minutes: bool = False
    top: float | None = None
    unit: Mapping[str, float] = field(default_factory=dict)


def _same(key: str, *arms: str) -> dict[str, tuple[str, str]]:
    """The same column of several arms."""
    return {arm: (arm, key) for arm in arms}


def _losses(*arms: str) -> dict[str, tuple[str, str]]:
    """The losses in training and validation of several arms."""
    return {
        f"{arm}, {name}": (arm, f"{kind}/loss")
        for arm in arms
        for kind, name in (("train", "training"), ("val", "validation"))
    }


PANELS = (
    Panel(
        "U-Net: Dice",
        _same("val/mask/Dice", *_UNET),
    ),
    Panel(
        "U-Net: PCK@0.2 of softmax joints",
        _same("val/joints/PCK", "unet_mask_softmax", "unet_mask_softmax_regression", "unet_triple"),
    ),
    Panel(
        "U-Net: squared error relative to an all-zero map",
        _same("val/loss/heatmap", "unet_mask_heatmap", "unet_mask_heatmap_scale_1", "unet_triple"),
        unit={
            "unet_mask_heatmap": empty_map(100.0),
            "unet_mask_heatmap_scale_1": empty_map(1.0),
            "unet_triple": empty_map(100.0),
        },
    ),
    Panel("ResNet: PCKh@0.5 (micro)", _same("val/heatmap/PCKh", *_RESNET)),
    Panel("VGG16: PCKh@0.5", _same("val/coordinates/PCKh", *_VGG)),
    Panel("VGG16: RMSE of visible joints in px", _same("val/coordinates/RMSE", *_VGG), True),
    Panel("11-layer CNN: PCK@0.2", _same("val/coordinates/PCK", *_CNN, *_CNN_NO_DROPOUT)),
    Panel("11-layer CNN: squared error below 0.16", _losses(*_CNN), top=0.16),
    Panel("11-layer CNN without dropout: squared error", _losses(*_CNN_NO_DROPOUT)),
    Panel(
        "ConvPose: squared error",
        {"training": ("convpose", "train/loss"), "validation": ("convpose", "val/loss")},
    ),
)
"""Every arm is in a panel."""

SMOOTH = 5
"""A logged training loss is of one batch; drawn is the mean of the last so many."""

STYLES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 2)))
"""Lines that lie on each other differ in their dashes, too."""

COLOURS = {
    arm: f"C{place}"
    for family in (_UNET, _RESNET, _VGG, (*_CNN, *_CNN_NO_DROPOUT), ("convpose",))
    for place, arm in enumerate(family)
}
"""An arm has the same colour in every part."""


def draw(runs: Runs, speeds: Mapping[str, float] | None, path: Path) -> None:
    """Draw the median of the seeds, and their range as a band.

    Args:
        runs: The runs by arm.
        speeds: Seconds per step by arm, if they are known.
        path: The PNG to write.
    """
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Figure((11, 15), layout="constrained")
        for axes, panel in zip(picture.subplots(5, 2).flat, PANELS, strict=True):
            axes.set_title(panel.title)
            seconds = speeds if panel.minutes else None
            axes.set_xlabel("minutes of training" if seconds else "step")
            _draw_lines(axes, panel, runs, seconds)
            axes.set_ylim(top=panel.top)
            if axes.has_data():
                axes.legend(framealpha=0.7, edgecolor="none", fontsize=7)
        picture.savefig(path, dpi=110)


def _draw_lines(axes: Axes, panel: Panel, runs: Runs, seconds: Mapping[str, float] | None) -> None:
    for (label, (arm, key)), style in zip(panel.lines.items(), itertools.cycle(STYLES)):
        curves = [dict(run.curve(key)) for run in runs[arm]]
        if not curves:
            continue
        steps = np.array(sorted(set.intersection(*map(set, curves))))
        values = np.array([[curve[step] for step in steps] for curve in curves])
        values /= panel.unit.get(arm, 1.0)
        if key.startswith("train/"):
            steps, values = steps[SMOOTH - 1 :], _smooth(values)
        if seconds:
            steps = steps * seconds[arm] / 60
        middle = np.median(values, axis=0)
        colour = COLOURS[arm]
        axes.plot(steps, middle, label=label, linewidth=1.2, linestyle=style, color=colour)
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The means of each column and those before it, from the first that has `SMOOTH`."""
    return np.lib.stride_tricks.sliding_window_view(values, SMOOTH, axis=1).mean(axis=2)
