"""What `fit` says before it trains."""

import os

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.table import Table

from lightning_pose.module import PoseModule
from lightning_pose.precision import AutoPrecision, choose_precision

__all__ = ["print_parts", "report_busy_cores", "report_precision"]


def print_parts(model: PoseModule) -> None:
    """Print the parts of a model and how many parameters each has."""
    heads = {f"heads.{name}": head for name, head in model.network.named_heads.items()}
    parts = {"backbone": model.network.backbone, **heads, "weighting": model.weighting}
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    table = Table("part", "class", "parameters", show_footer=True)
    table.columns[0].footer = "all"
    table.columns[2].footer = f"{sum(sizes.values()):,}"
    table.columns[2].justify = "right"
    for name, part in parts.items():
        table.add_row(name, type(part).__name__, f"{sizes[name]:,}")
    Console().print(table)


def report_precision(trainer: Trainer) -> None:
    """Say in which precision the network computes, and on which device."""
    device = trainer.strategy.root_device
    # AutoPrecision itself chooses only when the model is on its device.
    automatic = isinstance(trainer.precision_plugin, AutoPrecision)
    precision = choose_precision(device) if automatic else trainer.precision
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    rank_zero_info(f"Precision: {precision} on {name}{', chosen by device' if automatic else ''}.")


def report_busy_cores(trainer: Trainer) -> None:
    """Say that other programs compute on the cores that a training on the CPU needs."""
    cores = os.cpu_count() or 1
    # The average of the last minute, which Windows does not have.
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > cores / 2 and trainer.strategy.root_device.type == "cpu":
        advice = " Several runs share the cores best with --threads 1 each."
        rank_zero_info(
            f"Note: other programs use the CPU (load {load:.1f} on {cores} cores), which slows "
            f"this run down.{advice if torch.get_num_threads() > 1 else ''}"
        )
