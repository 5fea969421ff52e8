"""How large the gradients of the heads are at the shared features, and where they conflict."""

import math
from collections.abc import Sequence
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from jaxtyping import Float
from PIL import Image
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from lightning_pose.atomic import replacing
from lightning_pose.callbacks.loggers import log_image
from lightning_pose.errors import ConfigError
from lightning_pose.weightings import TrainingStep

__all__ = ["GradientTelemetry"]


class GradientTelemetry(Callback):
    """Measures the gradients of the heads' losses at the shared features every N optimiser steps.

    The losses are not weighted: times `weight/HEAD`, a norm is that of the head's part of the
    gradient that the backbone gets. Of the batches that are accumulated to one step, the first is
    measured, over the people of all processes. The loggers get

    * `gradient/norm/HEAD`: the norm of the gradient, for each head with labels in the batch;
    * `gradient/cosine/HEAD-HEAD`: the cosine of the angle between the gradients of two heads, below
      0 if they are in conflict; heads that read different feature maps have none.

    pictures/gradients.png in the run's folder (`trainer.default_root_dir`) shows both over time. It
    is drawn after a validation once there are two measurements, and again if something was measured
    since the last picture. A model with one head is not measured.

    Args:
        every_n_steps: Optimiser steps from one measurement to the next, 1 or more. A measurement
            takes one more backward pass through the heads: with the four of combined.yaml, 0.43 of
            the time of a step, which is 0.9 % of the training at the default.

    Raises:
        ConfigError: `every_n_steps` is less than 1.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ConfigError(
                "Expected GradientTelemetry.every_n_steps of 1 or more, found "
                f"{every_n_steps}; correct it."
            )
        self.every_n_steps = every_n_steps
        self.measured: dict[int, dict[str, float]] = {}
        self._drawn = 0

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Of an earlier training; a checkpoint to resume from is loaded later.
        self.measured, self._drawn = {}, 0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"measured": self.measured, "drawn": self._drawn}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.measured = state_dict["measured"]
        self._drawn = state_dict.get("drawn", 0)  # Not in older checkpoints.

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Measure the gradients of this step, if it is its turn."""
        step: TrainingStep | None = getattr(pl_module, "current_step", None)
        if step is None or step.step % self.every_n_steps or step.step in self.measured:
            return
        if len(step.losses) < 2:
            return
        found = _norms_and_cosines(list(step.losses), step.gramian())
        self.measured[step.step] = found
        for logger in trainer.loggers:
            logger.log_metrics({**found, "epoch": trainer.current_epoch}, step.step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw what was measured so far, if anything was since the last picture."""
        new = len(self.measured) > max(1, self._drawn) and any(self.measured.values())
        self._drawn = len(self.measured)
        if trainer.state.fn == "fit" and trainer.is_global_zero and new:
            picture = _chart(self.measured)
            path = Path(trainer.default_root_dir) / "pictures" / "gradients.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(picture)
            pixels = np.asarray(Image.open(BytesIO(picture)).convert("RGB"))
            # The number of the last step, as in metrics.csv.
            log_image(trainer.loggers, "gradient", pixels, max(0, trainer.global_step - 1))


def _norms_and_cosines(names: Sequence[str], gramian: Float[Tensor, "n n"]) -> dict[str, float]:
    """The entries of a Gramian as numbers to log."""
    products = gramian.tolist()
    norms = {name: math.sqrt(max(products[n][n], 0)) for n, name in enumerate(names)}
    found = {f"gradient/norm/{name}": norm for name, norm in norms.items() if norm > 0}
    for (row, one), (column, other) in combinations(enumerate(names), 2):
        product, both = products[row][column], norms[one] * norms[other]
        # Only gradients at different maps have a product of exactly 0.
        if product != 0 and both > 0:
            found[f"gradient/cosine/{one}-{other}"] = product / both
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _chart(measured: dict[int, dict[str, float]]) -> bytes:
    """Draw the norms above the cosines, over the optimiser steps, as a PNG."""
    # Slow to import, and needed only where something was measured.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=100, layout="constrained")
    norms, cosines = figure.subplots(2, 1, sharex=True)
    keys = dict.fromkeys(key for found in measured.values() for key in found)
    # No head has the colour of a pair.
    colours = {key: f"C{number}" for number, key in enumerate(sorted(keys, reverse=True))}
    for axes, kind in ((norms, "gradient/norm/"), (cosines, "gradient/cosine/")):
        for key in (key for key in keys if key.startswith(kind)):
            points = [(step, found[key]) for step, found in measured.items() if key in found]
            steps, values = zip(*points, strict=True)
            style = {"color": colours[key], "marker": ".", "linewidth": 1}
            axes.plot(steps, values, label=key.removeprefix(kind), **style)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    norms.set_title("Norm of the gradient of each head's loss at the shared features")
    norms.set_yscale("log")
    cosines.set_title("Cosine between the gradients of two heads: below 0, they are in conflict")
    cosines.axhline(0, color="black", linewidth=1)
    cosines.set_ylim(-1.05, 1.05)
    cosines.set_xlabel("optimiser step")
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
