"""The losses in training: how they are combined, which heads have labels, and when to stop."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from lightning_pose.batch import Batch
from lightning_pose.errors import ConfigError, InfiniteLossError
from lightning_pose.features import Features
from lightning_pose.logged_steps import is_logged
from lightning_pose.losses.terms import LossTerms, over_processes
from lightning_pose.network import PoseNetwork
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
        self._random: tuple[Tensor, Tensor | None] | None = None
        self._hook: RemovableHandle | None = None

    def begin(self, weighting: Weighting, device: torch.device) -> None:
        """Note the random numbers of a step, for a weighting that looks at the step again."""
        if weighting.judges_steps:
            cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
            self._random = (torch.get_rng_state(), cuda)

    def combine(
        self,
        terms: Mapping[str, LossTerms],
        features: Mapping[str, Features],
        weighting: Weighting,
        batch: Batch,
        module: pl.LightningModule,
    ) -> tuple[Tensor, TrainingStep, dict[str, float]]:
        """Weight the losses of one step.

        Args:
            terms: The terms of each head's loss in this process.
            features: Each head's view of the features.
            weighting: Combines the losses.
            batch: The people.
            module: Has the network, the step and the epoch, and the trainer, if there is one.

        Returns:
            The total, the step that the weighting has seen, and the numbers to log by name, over
            all processes: the total ("train/loss"), and, in a step that the loggers write, the loss
            and the weight of each head that has labels ("train/loss/HEAD", "weight/HEAD").

        Raises:
            InfiniteLossError: The total is not finite.
            ConfigError: The weighting does not work with the trainer's settings.
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
        if weighting.judges_steps and trainer is not None:
            self._judge_step(weighting, batch, step, module)
        numbers = self._read(overall, weighting, step.step)
        if trainer is not None and not is_logged(trainer):
            numbers = {"train/loss": numbers["train/loss"]}
        return weighting(losses), step, numbers

    def _judge_step(
        self, weighting: Weighting, batch: Batch, step: TrainingStep, module: pl.LightningModule
    ) -> None:
        """Show the weighting the losses of this batch after the next step of the optimiser."""
        trainer = module.trainer
        if trainer.accumulate_grad_batches > 1:
            raise ConfigError(
                f"Expected accumulate_grad_batches 1 with {type(weighting).__name__}, which "
                f"compares the losses before and after a step, found "
                f"{trainer.accumulate_grad_batches}; change it, or choose another weighting."
            )
        # Left over from a step that the precision's scaler has skipped.
        if self._hook is not None:
            self._hook.remove()
        network = cast("PoseNetwork", module.network)
        valid = next(iter(step.features.values())).valid
        mean, (random, cuda) = step.mean, cast("tuple[Tensor, Tensor | None]", self._random)

        @torch.no_grad()
        def look(*_: Any) -> None:
            cast("RemovableHandle", self._hook).remove()
            self._hook = None
            # Copies, so that batch norm does not count the batch twice.
            buffers: Any = {name: value.clone() for name, value in network.named_buffers()}
            with torch.random.fork_rng(devices=[] if cuda is None else [module.device]):
                torch.set_rng_state(random)
                if cuda is not None:
                    torch.cuda.set_rng_state(cuda, module.device)
                with trainer.precision_plugin.train_step_context():
                    outputs = functional_call(network, buffers, (batch.image, valid))
                    terms = network.losses(outputs, batch)
            overall = over_processes(terms, mean)[1]
            weighting.after_step(torch.stack([one.mean() for one in overall.values()]))

        self._hook = trainer.optimizers[0].register_step_post_hook(look)

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
