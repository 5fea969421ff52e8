"""Precision by device, so that one config runs at full speed on every machine."""

from functools import partial
from typing import Any, Literal

import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import nn
from torch.optim import Optimizer
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.float32 import in_float32

__all__ = ["AutoPrecision", "check_unscaled", "choose_precision"]

PrecisionName = Literal["bf16-mixed", "16-mixed", "32-true"]


def choose_precision(device: torch.device) -> PrecisionName:
    """The fastest precision that a device supports well, under Lightning's name for it.

    Args:
        device: Where the model runs.

    Returns:
        "bf16-mixed" if the device supports bfloat16 natively; on older GPUs "16-mixed", whose
        losses must be scaled; else "32-true", because emulated half precision is slower than
        float32.

    Example:
        >>> choose_precision(torch.device("meta"))
        '32-true'
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if native else "16-mixed"
    if device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    ):
        return "bf16-mixed"
    return "32-true"


class AutoPrecision(MixedPrecision):
    """Lightning's automatic mixed precision, in the precision that suits the model's device.

    `Trainer(precision="auto")` does not exist, so this is a plugin:
    `trainer: {plugins: [{class_path: lightning_pose.precision.AutoPrecision}]}`. It chooses once
    the model is on its device, so that `--trainer.accelerator cpu` on a machine with a GPU gets
    what suits the CPU. Until then, `precision` is "32-true".

    Example:
        >>> AutoPrecision().precision
        '32-true'
    """

    def __init__(self) -> None:
        # Not super().__init__, which needs the precision and the device, which are not known yet.
        self.precision: PrecisionName = "32-true"
        self.device = "cpu"
        self.scaler: torch.amp.GradScaler | None = None

    @override
    def connect(
        self, model: nn.Module, optimizers: list[Optimizer], lr_schedulers: list[Any]
    ) -> tuple[nn.Module, list[Optimizer], list[Any]]:
        # Strategies call this once the model is on its device, whatever the trainer's task.
        device = next(model.parameters()).device
        precision = choose_precision(device)
        # The same plugin is connected again by the trainer's next fit, validate or test.
        if (precision, device.type) != (self.precision, self.device):
            self.precision, self.device = precision, device.type
            self.scaler = torch.amp.GradScaler(device.type) if precision == "16-mixed" else None
        if (precision, device.type) == ("bf16-mixed", "cpu"):
            _keep_slow_depthwise_in_float32(model)
        return super().connect(model, optimizers, lr_schedulers)

    @override
    def clip_gradients(
        self,
        optimizer: Optimizer,
        clip_val: int | float = 0.0,
        gradient_clip_algorithm: GradClipAlgorithmType = GradClipAlgorithmType.NORM,
    ) -> None:
        # Lightning refuses this for every fused optimiser, also where there is no scaler.
        if clip_val > 0:
            instead = "set trainer.gradient_clip_val to null"
            check_unscaled(optimizer, self.scaler, "to clip gradients", instead)
        Precision.clip_gradients(self, optimizer, clip_val, gradient_clip_algorithm)

    @override
    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast(
            self.device,
            dtype=torch.half if self.precision == "16-mixed" else torch.bfloat16,
            enabled=self.precision != "32-true",
            cache_enabled=False,
        )


def check_unscaled(optimizer: Optimizer, scaler: object, purpose: str, instead: str) -> None:
    """Refuse a fused optimiser with a scaler, whose gradients are too large until its own step.

    Args:
        optimizer: The optimiser.
        scaler: The scaler of 16-mixed precision; None without one.
        purpose: What the gradients are needed for.
        instead: What the user can do besides choosing another optimiser.

    Raises:
        ConfigError: The gradients are scaled before the optimiser's step.
    """
    if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
        raise ConfigError(
            f"Expected an optimizer that is not fused {purpose} in 16-mixed precision, found a "
            f"fused {type(optimizer).__name__}; set model.optimizer.fused to false, or {instead}."
        )


def _keep_slow_depthwise_in_float32(model: nn.Module) -> None:
    """Run depth-wise convolutions with a stride, or of 5 x 5 and more, in float32 on a CPU.

    In bfloat16 their backward pass takes a slow path (PyTorch 2.15 on a CPU with AVX512-BF16, a
    batch of 32: with a stride, 62 ms against 7 for 96 channels of 64 x 64; without, 20 ms against 9
    for 5 x 5 and 240 channels of 16 x 16). EfficientNet-Lite0 with a light decoder trains 2.5 times
    as fast this way, and MobileNetV3 twice as fast.
    """
    for layer in model.modules():
        if (
            isinstance(layer, nn.Conv2d)
            and layer.groups == layer.in_channels > 1
            and (max(layer.kernel_size) >= 5 or max(layer.stride) > 1)
            and "forward" not in vars(layer)
        ):
            # Set on the instance, so that its class, its parameters and its state dict stay
            # unchanged.
            vars(layer)["forward"] = partial(in_float32, layer.forward)
