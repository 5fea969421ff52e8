"""The losses in training: how they are combined, which heads have labels, and when to stop."""

import math
from collections.abc import Iterable, Mapping
from typing import cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_pose.errors import InfiniteLossError
from lightning_pose.features import Features
from lightning_pose.logged_steps import is_logged
from lightning_pose.losses.terms import LossTerms, over_processes
from lightning_pose.weightings.base import TrainingStep, Weighting

__all__ = ["TrainingLosses", "loss_scale", "refuse_infinite"]


class TrainingLosses:
    """Combines the heads' losses, and remembers which heads have seen a label.

    Args:
        heads: The names of the heads.

    Attributes:
        trained: The heads with a weight above 0 that have seen a label in any process, in this
            training or in the one that their weights come from; None before any training.
    """

    def __init__(self, heads: Iterable[str]) -> None:
        self.heads = list(heads)
        self.trained: set[str] | None = None
        self._announced = False

    def combine(
        self,
        terms: Mapping[str, LossTerms],
        features: Mapping[str, Features],
        weighting: Weighting,
        module: pl.LightningModule,
    ) -> tuple[Tensor, TrainingStep, dict[str, float]]:
        """Weight the losses of one step.

        Args:
            terms: The terms of each head's loss in this process.
            features: Each head's view of the features.
            weighting: Combines the losses.
            module: Has the trainer, if there is one, the step and the epoch.

        Returns:
            The total, the step that the weighting has seen, and the numbers to log by name, over
            all processes: the total ("train/loss"), and, in a step that the loggers write, the loss
            and the weight of each head that has labels ("train/loss/HEAD", "weight/HEAD").

        Raises:
            InfiniteLossError: The total is not finite.
        """
        trainer = module._trainer
        processes = 1 if trainer is None else trainer.world_size

        def mean(value: Tensor) -> Tensor:
            if trainer is None or processes == 1:
                return value
            # A copy, because the reduction works in place.
            return cast("Tensor", trainer.strategy.reduce(value.clone(), reduce_op="mean"))

        losses, overall = over_processes(terms, mean)
        step = TrainingStep(
            losses=losses,
            features=features,
            step=module.global_step,
            epoch=module.current_epoch,
            mean=mean,
            # The scaler raises its scale until gradients overflow; 1024 is enough for small ones.
            scale=min(loss_scale(trainer), 1024.0),
            processes=processes,
        )
        # Autocast would compute the products of gradients in half precision.
        with torch.autocast(module.device.type, enabled=False):
            weighting.observe(step)
        numbers = self._read(overall, weighting, step.step)
        if trainer is not None and not is_logged(trainer):
            numbers = {"train/loss": numbers["train/loss"]}
        return weighting(losses), step, numbers

    @torch.no_grad()
    def _read(
        self, overall: Mapping[str, LossTerms], weighting: Weighting, step: int
    ) -> dict[str, float]:
        """Read the losses and weights as plain numbers, and note which heads had labels."""
        means = {name: terms.mean() for name, terms in overall.items()}
        labelled = [terms.weight.sum() for terms in overall.values()]
        weights = weighting.head_weights()
        # A weight that is a tensor changes from step to step.
        changing = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
        # In one transfer, because each wait for the device costs time.
        read = [*means.values(), *labelled, *changing.values(), weighting(means)]
        table = torch.stack(read).tolist()
        refuse_infinite(dict(zip(means, table, strict=False)), table[-1], step)
        numbers = {**weights, **dict(zip(changing, table[2 * len(means) :], strict=False))}
        found = {"train/loss": table[-1]}
        self.trained = self.trained or set()
        for name, value, count in zip(means, table, table[len(means) :], strict=False):
            weight = float(numbers[name])
            if count > 0 and (name in changing or weight > 0):
                found |= {f"train/loss/{name}": value, f"weight/{name}": weight}
                self.trained.add(name)
        return found

    @property
    def untrained(self) -> tuple[str, ...]:
        """The heads that have seen no label so far, empty before any training."""
        known = self.heads if self.trained is None else self.trained
        return tuple(name for name in self.heads if name not in known)

    def announce(self) -> None:
        """Name the heads that have seen no label, once."""
        if self.untrained and not self._announced:
            self._announced = True
            rank_zero_info(
                f"Heads without labels or with weight 0 so far: {', '.join(self.untrained)}. "
                "Nothing is logged for these heads, and predict leaves them out."
            )


def loss_scale(trainer: pl.Trainer | None) -> float:
    """How much the precision scales losses before the backward pass, 1 if it does not."""
    scaler = getattr(getattr(trainer, "precision_plugin", None), "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def refuse_infinite(losses: Mapping[str, float], total: float, step: int) -> None:
    """Stop if the total loss is not finite, and name the heads that caused it.

    Args:
        losses: Loss over all processes by head name.
        total: The combined loss.
        step: The optimiser step.

    Raises:
        InfiniteLossError: The total is NaN or infinite.
    """
    if math.isfinite(total):
        return
    names = [name for name, loss in losses.items() if not math.isfinite(loss)]
    raise InfiniteLossError(
        f"Expected finite losses, found NaN or infinity in {' and '.join(names) or 'their sum'} at "
        f"step {step}; earlier checkpoints are kept: lower the learning rate, or set that head's "
        "weight to 0 to find the cause."
    )
