"""PoseModule, the only LightningModule: a backbone, heads, a weighting, and their metrics."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose import checkpoint as checkpoints
from lightning_pose.backbones.base import Backbone
from lightning_pose.batch import Batch, Features, Prediction
from lightning_pose.errors import InputError
from lightning_pose.heads.base import Head
from lightning_pose.schedules import Interval, MakeOptimizer, MakeScheduler, configure
from lightning_pose.scores import Scores, choose_main_head
from lightning_pose.skeletons import Skeleton
from lightning_pose.weightings import FixedWeighting, Weighting

__all__ = ["PoseModule"]


class PoseModule(pl.LightningModule):
    """One network that answers several questions about a picture of a person.

    The parts are checked against each other here, once: the backbone is run to find the shapes of
    its features, and the heads are built on them.

    Args:
        backbone: Turns pictures into feature maps.
        heads: One head for each question, by a name that losses, metrics and weights go by.
        skeleton: The joints, as plain data from `Skeleton.to_dict()`; the command line takes it
            from the data module.
        input_size: Height and width of the network's input in pixels.
        main_head: The head whose first metric is `val/main`, which checkpoints and early stopping
            watch; by default the first head that predicts keypoints, else the first.
        weighting: How the heads' losses become one; by default their sum.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate scheduler from the optimiser, if there is to be one.
        lr_interval: Whether that scheduler steps after every epoch or every optimiser step;
            ReduceLROnPlateau does after every epoch with a validation, whatever is said here.
        mean: Per-channel mean that pictures are normalised by, on a scale of 0 to 1; by default
            what the backbone's weights expect.
        std: The standard deviation that belongs to it.
        enlarge: How much larger than a person's box the crops are that the model is trained on, so
            that `predict_people` cuts them in the same way; the command line takes it from the data
            module.

    Raises:
        InputError: The parts do not fit each other.

    Example:
        >>> from lightning_pose.backbones import UNet
        >>> from lightning_pose.heads import HeatmapHead, MaskHead
        >>> from lightning_pose.skeletons import LSP14
        >>> heads = {"mask": MaskHead(), "heatmap": HeatmapHead()}
        >>> model = PoseModule(UNet(width=4), heads, LSP14.to_dict(), input_size=(64, 48)).eval()
        >>> predictions = model.predict(torch.zeros(2, 3, 64, 48, dtype=torch.uint8))
        >>> predictions["mask"].mask.shape, predictions["heatmap"].keypoints.shape
        (torch.Size([2, 64, 48]), torch.Size([2, 14, 2]))
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: dict[str, Head],
        skeleton: dict[str, Any],
        input_size: Sequence[int],
        main_head: str | None = None,
        weighting: Weighting | None = None,
        optimizer: MakeOptimizer = torch.optim.Adam,
        lr_scheduler: MakeScheduler | None = None,
        lr_interval: Interval = "epoch",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        enlarge: float = 1.25,
    ) -> None:
        super().__init__()
        self.skeleton = Skeleton.from_dict(skeleton)
        self.input_size = _input_size(input_size)
        self.main_head = choose_main_head(heads, main_head)
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.weighting = FixedWeighting() if weighting is None else weighting
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.enlarge = float(enlarge)
        if not 0 < self.enlarge < math.inf:
            raise InputError(f"Expected enlarge above 0, found {enlarge}; 1.25 is usual.")
        self.mean = tuple(float(v) for v in (backbone.mean if mean is None else mean))
        self.std = tuple(float(v) for v in (backbone.std if std is None else std))
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(
                "Expected mean and std with one number for each of three channels, and std above "
                f"0, found {list(self.mean)} and {list(self.std)}; correct them."
            )
        # In the state dict they would be a second truth beside the spec's mean and std.
        self._mean: Tensor
        self._std: Tensor
        for name, values in (("_mean", self.mean), ("_std", self.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

        features = backbone.measure(self.input_size)
        for head in heads.values():
            head.build(features, self.skeleton, self.input_size)
        self.weighting.build(list(heads))
        self.val_scores = Scores(heads, self.skeleton, self.main_head)
        self.test_scores = Scores(heads, self.skeleton, self.main_head)
        self._step: tuple[Features, dict[str, Tensor]] | None = None
        # Convolutions on a CPU, and on a GPU in half precision, are fastest in this layout.
        self.to(memory_format=torch.channels_last)

    def setup(self, stage: str) -> None:
        """Refuse a precision in which the weights have another type, and crops of another size."""
        if str(self.trainer.precision).endswith("-true") and self.trainer.precision != "32-true":
            raise InputError(
                "Expected trainer.precision 32-true, bf16-mixed or 16-mixed, found "
                f"{self.trainer.precision}; points and pictures are in single precision."
            )
        # A loader without a data module crops as it likes, and a checkpoint cannot know.
        theirs = getattr(getattr(self.trainer, "datamodule", None), "enlarge", self.enlarge)
        if stage == "fit" and theirs != self.enlarge:
            raise InputError(
                f"Expected a model and a data module with the same enlarge, found {self.enlarge} "
                f"and {theirs}; predictions are cropped as the checkpoint says."
            )

    @property
    def _heads(self) -> dict[str, Head]:
        return {name: cast("Head", head) for name, head in self.heads.items()}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Compute every head's raw output.

        Args:
            image: (B, 3, H, W) RGB pictures, uint8 from 0 to 255 or floating point from 0 to 1.

        Returns:
            Raw output by head name.
        """
        return self._outputs(self._features(image))

    def _features(self, image: Tensor) -> Features:
        picture = image.float() / 255 if image.dtype == torch.uint8 else image
        features: Features = self.backbone((picture - self._mean) / self._std)
        return features

    def _outputs(self, features: Features) -> dict[str, Tensor]:
        return {name: head(features) for name, head in self._heads.items()}

    @torch.no_grad()
    def predict(self, image: Tensor) -> dict[str, Prediction]:
        """Read every head's answer for a batch of pictures; the model must be in evaluation mode.

        Args:
            image: Pictures as for `forward`.

        Returns:
            Prediction by head name, in pixels of the pictures that were given.
        """
        return self._decode(self(image), (image.shape[2], image.shape[3]))

    def _decode(
        self, outputs: Mapping[str, Tensor], size: tuple[int, int]
    ) -> dict[str, Prediction]:
        return {name: head.decode(outputs[name], size) for name, head in self._heads.items()}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Compute every head's unweighted loss.

        Args:
            outputs: Raw output by head name, from `forward`.
            batch: The persons that went in.

        Returns:
            Loss by head name.
        """
        return {
            name: head.loss(outputs[name], head.encode(batch, outputs[name].shape))
            for name, head in self._heads.items()
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the weighted loss of one batch, and log it with the heads' own."""
        features = self._features(batch.image)
        outputs = self._outputs(features)
        losses = self.losses(outputs, batch)
        total: Tensor = self.weighting(losses)
        if self._trainer is None or self.trainer.world_size > 1:
            total = total + self._zero(features)
        if not torch.isfinite(total):
            raise InputError(_not_finite(losses, self.global_step))
        self._step = (features, losses)
        self._log_losses("train", losses, total, len(batch))
        return total

    def _zero(self, features: Features) -> Tensor:
        """A zero that gives every parameter a gradient, without which DDP would wait for ever.

        In one process it would only cost time: a gradient as large as the map.

        A head that the weighting leaves out gets it through its parameters, not its output, so that
        a NaN in it stays there; a decoder that only such heads read, through its map.
        """
        maps = [features.dense, features.deep, *features.aux]
        reached = [value.flatten()[:1] for value in (*maps, *self.heads.parameters())]
        return (torch.cat([value.float() for value in reached]) * 0).nan_to_num(0).sum()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Hand the backward pass to the weighting, with the losses and features of this step."""
        assert self._step is not None, "backward comes after training_step"
        features, losses = self._step
        self._step = None
        self.weighting.backward(loss, losses, features, self.backbone.parameters())

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Score one batch; the predictions go to the callbacks."""
        return self._evaluate(batch, "val", self.val_scores)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Score one batch of the test people."""
        return self._evaluate(batch, "test", self.test_scores)

    def _evaluate(self, batch: Batch, stage: str, scores: Scores) -> dict[str, Any]:
        outputs = self(batch.image)
        losses = self.losses(outputs, batch)
        total = self.weighting(losses)
        if not torch.isfinite(total):
            # Before a checkpoint of these weights replaces a good one.
            raise InputError(_not_finite(losses, self.global_step))
        self._log_losses(stage, losses, total, len(batch))
        size = (batch.image.shape[2], batch.image.shape[3])
        # A head that diverged scores badly; what it has no weight in must not stop the others.
        predictions = {n: p.finite() for n, p in self._decode(outputs, size).items()}
        scores.update(predictions, batch)
        return {"predictions": predictions}

    def _log_losses(
        self, stage: str, losses: Mapping[str, Tensor], total: Tensor, people: int
    ) -> None:
        evaluating = stage != "train"
        for name, loss in losses.items():
            key = f"{stage}/loss/{name}"
            # What a person watches while it trains; the validation's losses come in one sum.
            bar = not evaluating
            self.log(key, loss.detach(), prog_bar=bar, batch_size=people, sync_dist=evaluating)
        key = f"{stage}/loss"
        self.log(key, total.detach(), prog_bar=True, batch_size=people, sync_dist=evaluating)

    def on_validation_epoch_end(self) -> None:
        """Log each head's metrics and `val/main`, higher being better."""
        self._log_scores("val", self.val_scores)

    def on_test_epoch_end(self) -> None:
        """Log each head's metrics over the test people."""
        self._log_scores("test", self.test_scores)

    def _log_scores(self, stage: str, scores: Scores) -> None:
        figures = scores.compute()
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        if fitting and not self.trainer.sanity_checking and figures["main"].isnan():
            # Without a figure no checkpoint is better than another.
            raise InputError(
                f"Expected people in the validation whom {self.main_head} can be judged by, found "
                "none with a label for it; set model.main_head to a head that there are labels "
                "for, or validate on other people."
            )
        for key, value in figures.items():
            # The same figure in all processes already; Lightning wants to hear it all the same.
            shown = key.endswith(("/PCKh", "/Dice"))
            self.log(f"{stage}/{key}", value, prog_bar=shown, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Make the optimiser and, where there is one, the scheduler.

        Raises:
            InputError: One of them refuses its settings, or the schedule has no length.
        """
        return configure(
            (parameter for parameter in self.parameters() if parameter.requires_grad),
            self.optimizer,
            self.lr_scheduler,
            self.lr_interval,
            self._trainer,
        )

    def spec(self) -> dict[str, Any]:
        """The model as plain data: what a checkpoint needs to rebuild it; see `checkpoint`."""
        return {
            "backbone": checkpoints.describe(self.backbone),
            "heads": {name: checkpoints.describe(head) for name, head in self._heads.items()},
            "main_head": self.main_head,
            "weighting": checkpoints.describe(self.weighting),
            "skeleton": self.skeleton.to_dict(),
            "input_size": list(self.input_size),
            "mean": list(self.mean),
            "std": list(self.std),
            "enlarge": self.enlarge,
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the spec into the checkpoint."""
        checkpoint[checkpoints.SPEC_KEY] = {"format": checkpoints.FORMAT, "model": self.spec()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model before its weights are tried."""
        theirs = checkpoint.get(checkpoints.SPEC_KEY, {}).get("model", {})
        # Another weighting or main head is another training of the same network.
        ours, theirs = ({k: spec.get(k) for k in _NETWORK} for spec in (self.spec(), theirs))
        found = list(checkpoints.differences(ours, theirs))
        if found:
            raise InputError(
                "Expected a checkpoint of this model, found one of another: "
                f"{'; '.join(found[:3])}; give the config that it was trained with."
            )

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # ours needs no hparams and trusts no pickle
        cls,
        checkpoint_path: str | Path,
        map_location: str | torch.device = "cpu",
        allow: Sequence[str] = (),
    ) -> "PoseModule":
        """Rebuild a trained model from its checkpoint alone.

        Args:
            checkpoint_path: The file.
            map_location: Where the weights go.
            allow: Packages to import classes from, beside `checkpoint.TRUSTED`: name your own here.

        Returns:
            The model in evaluation mode.

        Raises:
            InputError: The file is not a checkpoint of ours that can be trusted.
        """
        checkpoint = checkpoints.read(checkpoint_path, allow)
        spec = dict(checkpoint[checkpoints.SPEC_KEY]["model"])
        try:
            parts = {
                "backbone": checkpoints.rebuild(spec["backbone"], Backbone),
                "heads": {n: checkpoints.rebuild(h, Head) for n, h in spec["heads"].items()},
                "weighting": checkpoints.rebuild(spec["weighting"], Weighting),
            }
            model = cls(**{**spec, **parts})
            model.load_state_dict(checkpoint["state_dict"])
        except InputError:
            raise
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"Expected weights that fit the spec of {checkpoint_path}, found others; the "
                "checkpoint is damaged."
            ) from error
        return model.to(map_location).eval()


_NETWORK = ("backbone", "heads", "skeleton", "input_size", "mean", "std")


def _input_size(size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 16:
        raise InputError(
            f"Expected input_size as [height, width] of 16 pixels or more, found {list(size)}; "
            "correct data.input_size."
        )
    return int(size[0]), int(size[1])


def _not_finite(losses: Mapping[str, Tensor], step: int) -> str:
    names = [name for name, loss in losses.items() if not torch.isfinite(loss)]
    return (
        f"Expected finite losses, found NaN or infinity in {' and '.join(names) or 'their sum'} at "
        f"step {step}; training stopped and the checkpoints so far are kept: lower the learning "
        "rate, or set that head's weight to 0 to find the cause."
    )
