"""The picture of docs/reproduction.md: learning curves of the systems."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.study_runs import Runs

__all__ = ["PANELS", "Panel", "draw"]

_VGG = ("vgg16_regression", "vgg16_lstm", "vgg16_attention_lstm")
_CNN = ("cnn11", "cnn11_no_bn")
_CNN_NO_DROPOUT = ("cnn11_no_dropout", "cnn11_no_bn_no_dropout")


@dataclass(frozen=True)
class Panel:
    """A part of the picture.

    Attributes:
        title: What its curves are.
        lines: The arms and their columns of metrics.csv, by the names of the lines.
        minutes: Whether it is drawn over minutes of training in place of steps.
    """

    title: str
    lines: Mapping[str, tuple[str, str]]
    minutes: bool = False


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
        _same(
            "val/mask/Dice",
            *("unet_mask", "harmonic_unet_mask", "unet_mask_heatmap", "unet_mask_softmax"),
            *("unet_mask_softmax_regression", "unet_triple"),
        ),
    ),
    Panel(
        "U-Net: PCK@0.2 of softmax joints",
        _same("val/joints/PCK", "unet_mask_softmax", "unet_mask_softmax_regression", "unet_triple"),
    ),
    Panel("ResNet: PCKh@0.5", _same("val/heatmap/PCKh", "resnet_deconv", "resnet_fcn")),
    Panel("VGG16: PCKh@0.5", _same("val/coordinates/PCKh", *_VGG)),
    Panel("VGG16: RMSE in px", _same("val/coordinates/RMSE", *_VGG), minutes=True),
    Panel("11-layer CNN: PCK@0.2", _same("val/coordinates/PCK", *_CNN, *_CNN_NO_DROPOUT)),
    Panel("11-layer CNN: squared error", _losses(*_CNN)),
    Panel("11-layer CNN without dropout: squared error", _losses(*_CNN_NO_DROPOUT)),
    Panel(
        "ConvPose: squared error",
        {"training": ("convpose", "train/loss"), "validation": ("convpose", "val/loss")},
    ),
)
"""Every arm but one is in a panel: the heatmap at scale 1, whose mask says nothing of it."""

SMOOTH = 5
"""A training loss is of one batch; so many values next to each other are averaged."""


def draw(runs: Runs, speeds: Mapping[str, float] | None, path: Path) -> None:
    """Draw the median of the seeds, and their range as a band.

    Args:
        runs: The runs by arm.
        speeds: Seconds per step by arm; without them, panels over minutes are empty.
        path: The PNG to write.
    """
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Figure((12, 9), layout="constrained")
        for axes, panel in zip(picture.subplots(3, 3).flat, PANELS, strict=True):
            axes.set_title(panel.title)
            axes.set_xlabel("minutes of training" if panel.minutes else "step")
            if not panel.minutes or speeds:
                _draw_lines(axes, panel, runs, speeds or {})
            if axes.has_data():
                axes.legend(frameon=False, fontsize=6)
        picture.savefig(path, dpi=110)


def _draw_lines(axes: Axes, panel: Panel, runs: Runs, speeds: Mapping[str, float]) -> None:
    for label, (arm, key) in panel.lines.items():
        curves = [dict(run.curve(key)) for run in runs[arm]]
        if not curves:
            continue
        steps = np.array(sorted(set.intersection(*map(set, curves))))
        values = np.array([[curve[step] for step in steps] for curve in curves])
        if key.startswith("train/"):
            steps, values = _smooth(steps[None])[0], _smooth(values)
        if panel.minutes:
            steps = steps * speeds[arm] / 60
        (line,) = axes.plot(steps, np.median(values, axis=0), label=label, linewidth=1.2)
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The means of `SMOOTH` columns each; what is left over at the end is dropped."""
    whole = values.shape[1] // SMOOTH * SMOOTH
    return values[:, :whole].reshape(len(values), -1, SMOOTH).mean(axis=2)
