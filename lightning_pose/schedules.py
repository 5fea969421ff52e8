"""Learning-rate schedules that span the whole training."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from typing_extensions import override

from lightning_pose.errors import ConfigError

__all__ = [
    "Interval",
    "MakeOptimizer",
    "MakeScheduler",
    "WarmupCosine",
    "configure",
    "step_plateau",
]

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
"""Creates an optimiser from parameters."""

MakeScheduler = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
"""Creates a learning-rate scheduler from an optimiser."""

Interval = Literal["epoch", "step"]
"""Whether a scheduler steps after every epoch or every optimiser step."""


class WarmupCosine(LRScheduler):
    """A linear warm-up to the optimiser's learning rate, then half a cosine down to 0.

    The cosine is that of SGDR without restarts (Loshchilov and Hutter, 2017,
    https://arxiv.org/abs/1608.03983). Each step has the rate at its midpoint, so that neither the
    first nor the last step has a rate of 0. The state in a checkpoint does not include the
    settings: a run that is resumed with more epochs follows the longer cosine.

    Args:
        optimizer: Its learning rates are the peaks.
        warmup: The fraction of training in which the rate rises, from 0 to below 1.
        total_steps: Number of steps of the whole training; None leaves it to `set_total_steps`,
            which `PoseModule` calls before the first step.

    Raises:
        ConfigError: The warm-up is not in [0, 1), or there are no steps.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = WarmupCosine(optimizer, warmup=0.5, total_steps=4)
        >>> for _ in range(4):
        ...     print(round(schedule.get_last_lr()[0], 3))
        ...     optimizer.step()
        ...     schedule.step()
        0.25
        0.75
        0.854
        0.146
    """

    def __init__(
        self, optimizer: Optimizer, warmup: float = 0.1, total_steps: int | None = None
    ) -> None:
        if not 0 <= warmup < 1:
            raise ConfigError(
                "Expected the warm-up as a share of the training, from 0 to below 1, found "
                f"{warmup}; 0.1 is usual."
            )
        if total_steps is not None and total_steps < 1:
            raise ConfigError(
                f"Expected at least one training step, found total_steps {total_steps}; leave it "
                "out to have the trainer count them."
            )
        self.warmup = warmup
        self.total_steps = total_steps
        super().__init__(optimizer)

    def set_total_steps(self, total_steps: int) -> None:
        """Set the length of training if the constructor was not given one.

        Args:
            total_steps: How many times the schedule will be stepped.
        """
        if self.total_steps is not None:
            return
        self.total_steps = total_steps
        self._apply()

    @override
    def get_lr(self) -> list[float | Tensor]:
        factor = self._factor()
        return [rate * factor for rate in self.base_lrs]

    @override
    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return {key: state[key] for key in state if key not in ("warmup", "total_steps")}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # The optimiser's own state has the rate of the cosine that was saved.
        self._apply()

    def _apply(self) -> None:
        """Set the rate of the next step, where the settings have changed since the last one."""
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def _factor(self) -> float:
        """The fraction of the peak rate at the next step, which PyTorch calls `last_epoch`."""
        if self.total_steps is None:
            return 1.0
        # After the last step the cosine would rise again.
        done = min((self.last_epoch + 0.5) / self.total_steps, 1.0)
        if done < self.warmup:
            return done / self.warmup
        return (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2


def configure(
    modules: tuple[nn.Module, nn.Module, nn.Module],
    backbone_lr: float,
    optimizer: MakeOptimizer,
    lr_scheduler: MakeScheduler | None,
    interval: Interval,
    trainer: pl.Trainer | None,
) -> Any:
    """Create the optimiser and scheduler in the form that Lightning expects.

    Args:
        modules: The heads, the backbone and the weighting. Frozen parameters are left out. The
            weighting has no weight decay, which would pull learnt weights to 0.
        backbone_lr: Learning rate of the backbone, relative to that of the heads.
        optimizer: Creates the optimiser.
        lr_scheduler: Creates the scheduler, if there is one.
        interval: When the scheduler steps; ReduceLROnPlateau ignores this.
        trainer: Tells how long the training is.

    Returns:
        What `LightningModule.configure_optimizers` returns.

    Raises:
        ConfigError: One of them rejects its settings, backbone_lr is not above 0, or the schedule
            has no length.
    """
    if not 0 < backbone_lr < math.inf:
        raise ConfigError(
            f"Expected model.backbone_lr above 0, found {backbone_lr}; 0.1 is usual for pretrained "
            "weights, and the callback FreezeBackbone keeps them as they are."
        )
    heads, backbone, learnt = (
        [parameter for parameter in module.parameters() if parameter.requires_grad]
        for module in modules
    )
    groups: list[dict[str, Any]] = [{"params": [*backbone, *heads]}]
    if backbone_lr != 1:
        groups = [{"params": heads}, {"params": backbone}]
    if learnt:
        groups.append({"params": learnt, "weight_decay": 0.0})
    try:
        made = optimizer(groups)
        if backbone_lr != 1:  # Before the scheduler, which takes it as the rate to start from.
            made.param_groups[1]["lr"] *= backbone_lr
        scheduler = None if lr_scheduler is None else lr_scheduler(made)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(
            "Expected settings that the optimizer and the scheduler accept, found: "
            f"{error}; correct model.optimizer or model.lr_scheduler."
        ) from error
    if scheduler is None:
        return made
    config: dict[str, Any] = {"scheduler": scheduler, "interval": interval}
    if isinstance(scheduler, WarmupCosine) and scheduler.total_steps is None and trainer:
        scheduler.set_total_steps(_training_steps(trainer, interval))
    if isinstance(scheduler, ReduceLROnPlateau):
        if trainer is not None and trainer.limit_val_batches == 0:
            raise ConfigError(
                "Expected validations for ReduceLROnPlateau, found limit_val_batches 0; raise it, "
                "or choose another scheduler."
            )
        # It follows the validations, see `step_plateau`, and not Lightning, which leaves it out of
        # the epoch in which a run was resumed.
        config["reduce_on_plateau"] = False
    return {"optimizer": made, "lr_scheduler": config}


def step_plateau(
    scheduler: Any,
    main: float | Tensor,
    loss: float | Tensor,
) -> None:
    """Tell ReduceLROnPlateau the result of a validation; do nothing for other schedulers.

    Args:
        scheduler: What `LightningModule.lr_schedulers` returns.
        main: The main metric, for the mode "max".
        loss: The loss, for the mode "min".
    """
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(float(main if scheduler.mode == "max" else loss))


def _training_steps(trainer: pl.Trainer, interval: str) -> int:
    epochs = trainer.max_epochs
    steps = trainer.estimated_stepping_batches if interval == "step" else epochs
    # For training that is limited only by time, Lightning returns infinity, None or -1.
    if steps is None or not 0 < steps < math.inf:
        raise ConfigError(
            "Expected training of a known length of 1 step or more for the schedule, found "
            f"{steps} steps with trainer.max_epochs {epochs}; set max_epochs, or the scheduler's "
            "total_steps."
        )
    return int(steps)
