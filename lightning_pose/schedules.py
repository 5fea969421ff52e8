"""Learning-rate schedules that know how long the training is."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from typing_extensions import override

from lightning_pose.errors import InputError

__all__ = ["Interval", "MakeOptimizer", "MakeScheduler", "WarmupCosine", "configure"]

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
"""Makes an optimiser from parameters."""

MakeScheduler = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
"""Makes a learning-rate scheduler from an optimiser."""

Interval = Literal["epoch", "step"]
"""Whether a scheduler steps after every epoch or every optimiser step."""


class WarmupCosine(LRScheduler):
    """A linear rise to the optimiser's learning rate, then half a cosine down to 0.

    The cosine is that of SGDR without restarts (Loshchilov and Hutter, 2017,
    https://arxiv.org/abs/1608.03983). Each step has the rate of its middle, so that neither the
    first nor the last is spent on a rate of 0. The state that a checkpoint keeps leaves the
    settings out: a run that is resumed with more epochs goes on along the longer cosine.

    Args:
        optimizer: Its learning rates are the peaks.
        warmup: The share of the training in which the rate rises, from 0 to below 1.
        total_steps: The steps of the whole training; where it is None, `set_total_steps` says it
            before the first step, as `PoseModule` does.

    Raises:
        InputError: The warm-up is not in [0, 1), or there is no step.

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
            raise InputError(
                "Expected the warm-up as a share of the training, from 0 to below 1, found "
                f"{warmup}; 0.1 is usual."
            )
        if total_steps is not None and total_steps < 1:
            raise InputError(
                f"Expected at least one training step, found total_steps {total_steps}; leave it "
                "out to have the trainer count them."
            )
        self.warmup = warmup
        self.total_steps = total_steps
        super().__init__(optimizer)

    def set_total_steps(self, total_steps: int) -> None:
        """Say how long the training is, where the constructor was not told.

        Args:
            total_steps: How often the schedule will be stepped.
        """
        if self.total_steps is not None:
            return
        self.total_steps = total_steps
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    @override
    def get_lr(self) -> list[float | Tensor]:
        factor = self._factor()
        return [rate * factor for rate in self.base_lrs]

    @override
    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return {key: state[key] for key in state if key not in ("warmup", "total_steps")}

    def _factor(self) -> float:
        """The share of the peak rate at the coming step, which PyTorch calls `last_epoch`."""
        if self.total_steps is None:
            return 1.0
        # After the last step the cosine would rise again.
        done = min((self.last_epoch + 0.5) / self.total_steps, 1.0)
        if done < self.warmup:
            return done / self.warmup
        return (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2


def configure(
    parameters: Iterable[nn.Parameter],
    optimizer: MakeOptimizer,
    lr_scheduler: MakeScheduler | None,
    interval: Interval,
    trainer: pl.Trainer | None,
) -> Any:
    """Make optimiser and scheduler in the form in which Lightning takes them.

    Args:
        parameters: What is trained.
        optimizer: Makes the optimiser.
        lr_scheduler: Makes the scheduler, if there is to be one.
        interval: When the scheduler steps. ReduceLROnPlateau does after every epoch with a
            validation, whatever is said here; it is refused where validations are not counted in
            epochs.
        trainer: Knows how long the training is, and how often it validates.

    Returns:
        What `LightningModule.configure_optimizers` returns.

    Raises:
        InputError: One of them refuses its settings, or the schedule has no length.
    """
    try:
        made = optimizer(parameters)
        scheduler = None if lr_scheduler is None else lr_scheduler(made)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            "Expected settings that the optimizer and the scheduler accept, found: "
            f"{error}; correct model.optimizer or model.lr_scheduler."
        ) from error
    if scheduler is None:
        return made
    config: dict[str, Any] = {"scheduler": scheduler, "interval": interval}
    if isinstance(scheduler, WarmupCosine) and trainer is not None:
        scheduler.set_total_steps(_training_steps(trainer, interval))
    if isinstance(scheduler, ReduceLROnPlateau):
        # Its mode says which way is better, and so which figure it can watch.
        config["monitor"] = "val/main" if scheduler.mode == "max" else "val/loss"
        # There is a new figure only after a validation, which not every epoch has.
        every = 1 if trainer is None else trainer.check_val_every_n_epoch
        by_the_clock = getattr(trainer, "_val_check_time_interval", None)
        never = trainer is not None and trainer.limit_val_batches == 0
        if every is None or by_the_clock or never:
            raise InputError(
                "Expected a validation every so many epochs for ReduceLROnPlateau, found "
                "trainer.check_val_every_n_epoch null, trainer.limit_val_batches 0 or a time as "
                "trainer.val_check_interval; change that, or choose another scheduler."
            )
        config |= {"interval": "epoch", "frequency": every}
    return {"optimizer": made, "lr_scheduler": config}


def _training_steps(trainer: pl.Trainer, interval: str) -> int:
    epochs = trainer.max_epochs
    steps = trainer.estimated_stepping_batches if interval == "step" else epochs
    # Lightning's words for a training that only the clock ends are infinity, None and -1.
    if steps is None or not 0 < steps < math.inf:
        raise InputError(
            "Expected trainer.max_epochs to set the length of the schedule, found "
            f"{epochs}; set it, or set total_steps of the scheduler."
        )
    return int(steps)
