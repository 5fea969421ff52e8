"""PoseModule, the only LightningModule: a backbone, heads, a weighting, and their metrics."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_pose import checkpoint as checkpoints
from lightning_pose import module_checks, schedules
from lightning_pose.backbones.base import Backbone
from lightning_pose.batch import Batch
from lightning_pose.evaluation import Evaluation
from lightning_pose.heads.base import Head
from lightning_pose.heads.names import check_heads, choose_main_head
from lightning_pose.input_spec import InputSpec
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.scores import Judgement, default_metrics
from lightning_pose.model_spec import ModelSpec
from lightning_pose.network import PoseNetwork
from lightning_pose.prediction import Output, Prediction
from lightning_pose.schedules import Interval, MakeOptimizer, MakeScheduler
from lightning_pose.skeletons import Skeleton
from lightning_pose.task import Task
from lightning_pose.training_losses import TrainingLosses, loss_scale, refuse_infinite
from lightning_pose.weightings import FixedWeighting, TrainingStep, Weighting

__all__ = ["PoseModule"]


class PoseModule(pl.LightningModule):
    """One network for several tasks, such as keypoints and a mask, on an image of a person.

    Args:
        backbone: Turns images into feature maps.
        heads: The heads by name, which losses, metrics and weights use; None leaves one out.
        skeleton: The joints; the command line takes this and the next two from the data module.
        input_spec: How an image becomes the network's input.
        labels: Image-level labels by name, with the names of their classes.
        main_head: The head whose keypoints are used and whose first metric is `val/main`; by
            default the first head that predicts keypoints, or else the first head.
        main_metric: What checkpoints and early stopping watch as `val/main`, instead of the main
            head's first metric: "PCKh" of the main head, "mask/Dice", "loss" or "mask/loss".
        weighting: How the heads' losses are combined; by default their sum.
        metrics: The metrics by name; each head gets those that apply to what it predicts. By
            default those of `default_metrics`.
        optimizer: Creates the optimiser from the parameters.
        lr_scheduler: Creates the learning-rate scheduler from the optimiser; by default there is
            none.
        lr_interval: Whether that scheduler steps after every epoch or every optimiser step;
            ReduceLROnPlateau steps after every validation in either case, by `val/main` if its mode
            is "max" and by `val/loss` if it is "min".
        backbone_lr: Learning rate of the backbone relative to that of the heads; below 1, weights
            that were trained before change more slowly.
        mean: Per-channel mean for normalising images, on a scale of 0 to 1; this and the standard
            deviation are by default those that the backbone's weights expect.
        std: Per-channel standard deviation for normalising images, on the same scale.

    Attributes:
        flip_test: Whether validation and test average predictions with those of mirrored images.
        current_step: The training step until its backward pass starts, for callbacks; else None.

    Raises:
        ConfigError: The parts do not fit together.

    Example:
        >>> from lightning_pose.backbones import UNet
        >>> from lightning_pose.heads import HeatmapHead, MaskHead
        >>> from lightning_pose.skeletons import LSP14
        >>> heads = {"mask": MaskHead(), "heatmap": HeatmapHead()}
        >>> model = PoseModule(UNet(width=4), heads, LSP14, InputSpec(size=(64, 48)))
        >>> predictions = model.predict(torch.zeros(2, 3, 64, 48, dtype=torch.uint8))
        >>> predictions["mask"].mask.shape, predictions["heatmap"].keypoints.shape
        (torch.Size([2, 64, 48]), torch.Size([2, 14, 2]))
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head | None],
        skeleton: Skeleton,
        input_spec: InputSpec,
        labels: dict[str, list[str]] | None = None,
        main_head: str | None = None,
        main_metric: str | None = None,
        weighting: Weighting | None = None,
        metrics: dict[str, PoseMetric] | None = None,
        optimizer: MakeOptimizer = torch.optim.Adam,
        lr_scheduler: MakeScheduler | None = None,
        lr_interval: Interval = "epoch",
        backbone_lr: float = 1.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        heads = check_heads(heads)
        self.skeleton = skeleton
        self.input_spec = input_spec
        self.labels = {name: list(classes) for name, classes in (labels or {}).items()}
        self.main_head = choose_main_head(heads, main_head)
        self.main_metric = main_metric
        self.weighting = FixedWeighting() if weighting is None else weighting
        self.weighting.build(list(heads))
        self.metrics = default_metrics(skeleton) if metrics is None else metrics
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.backbone_lr = backbone_lr
        self.mean = tuple(float(v) for v in (backbone.mean if mean is None else mean))
        self.std = tuple(float(v) for v in (backbone.std if std is None else std))
        task = Task(skeleton, input_spec, self.labels)
        self.network = PoseNetwork(backbone, heads, task, self.mean, self.std)
        chosen = (heads, self.metrics, task, self.main_head, main_metric)
        self.evaluations = nn.ModuleDict({n: Evaluation(*chosen) for n in ("val", "test")})
        self.flip_test = False
        self._losses = TrainingLosses(heads)
        self.current_step: TrainingStep | None = None

    @property
    def untrained(self) -> tuple[str, ...]:
        """The heads that saw no label in training, empty before any training."""
        return self._losses.untrained

    def assume_trained(self, names: Iterable[str]) -> None:
        """Treat heads as trained, because their weights come from a training with their labels."""
        self._losses.trained = (self._losses.trained or set()) | set(names)

    @property
    def heads(self) -> dict[str, Head]:
        """The heads by name."""
        return self.network.named_heads

    def setup(self, stage: str) -> None:
        """Refuse a trainer or data that do not fit; score the sets of a mix separately, too."""
        module_checks.check_precision(self.trainer)
        module_checks.check_data(self.spec(), data := getattr(self.trainer, "datamodule", None))
        for name in self.evaluations:
            self._evaluation(name).scores.divide(getattr(data, "set_names", ()))

    def forward(self, image: Tensor) -> dict[str, Output]:
        """Compute every head's raw output, see `PoseNetwork.forward`."""
        outputs: dict[str, Output] = self.network(image)
        return outputs

    def predict(self, image: Tensor, flip: bool = False) -> dict[str, Prediction]:
        """Predict in evaluation mode, whatever mode the model is in.

        Args:
            image: Images as for `forward`, of the size that the model was trained on; for others,
                see `lightning_pose.load`.
            flip: Average each output with that for the mirrored image.

        Returns:
            Prediction by head name, in pixels of the given images; untrained heads are left out.

        Raises:
            ConfigError: With `flip`, the width is not a multiple of every stride.
            DataError: The images are of another form, size or range.
        """
        module_checks.check_images(image, self.input_spec.size)
        predictions = self.network.predict(image, flip)
        return {name: one for name, one in predictions.items() if name not in self.untrained}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the weighted loss of one batch; log it, and the loss and weight of each head."""
        self._losses.begin(self.weighting, self.device)
        # Images of one size are never padded; reading the mask itself would wait for the device.
        padded = batch.valid if self.input_spec.size is None else None
        features = self.network.features(batch.image, padded)
        views = {name: features.view() for name in self.heads}
        outputs = {name: head(views[name]) for name, head in self.heads.items()}
        terms = self.network.losses(outputs, batch)
        total, step, numbers = self._losses.combine(terms, views, self.weighting, batch, self)
        self.current_step = step
        for name, value in numbers.items():
            self.log(name, value, prog_bar=name == "train/loss")
        if self._trainer is None or self.trainer.world_size > 1:
            total = total + self.network.zero(features)
        return total

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass, which a weighting may implement itself."""
        step, self.current_step = self.current_step, None
        if self.weighting.own_backward and step is not None:
            scaled = loss_scale(self.trainer) != 1
            module_checks.check_backward(self.trainer, self.weighting, scaled)
            self.weighting.backward(loss, step, self.network.backbone.parameters())
        else:
            del step  # Its maps need not be kept until the backward pass has ended.
            loss.backward(*args, **kwargs)

    def on_validation_start(self) -> None:
        """Report untrained heads, and reset what an aborted validation has left behind."""
        if self._fitting:
            self._losses.announce()
        self._evaluation("val").reset()

    def on_test_start(self) -> None:
        """Reset what an aborted test has left behind."""
        self._evaluation("test").reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> Judgement:
        """Score one batch; callbacks get each head's record and its metrics per person."""
        return self._evaluation("val").step(self.network, batch, self.flip_test, self.untrained)

    def test_step(self, batch: Batch, batch_idx: int) -> Judgement:
        """Score one batch of the test split."""
        return self._evaluation("test").step(self.network, batch, self.flip_test, self.untrained)

    def on_validation_epoch_end(self) -> None:
        """Log each head's loss and metrics, and `val/main`, where higher is better.

        Raises:
            InfiniteLossError: The total loss is not finite; no checkpoint is replaced.
            DataError: In `fit`, no person has a label that the main metric needs.
        """
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log each head's loss and metrics over the test split."""
        self._log_evaluation("test")

    def _evaluation(self, stage: str) -> Evaluation:
        return cast("Evaluation", self.evaluations[stage])

    @property
    def _fitting(self) -> bool:
        """Whether this is a validation in training, and not the sanity check before it."""
        trainer = self._trainer
        return trainer is not None and trainer.state.fn == "fit" and not trainer.sanity_checking

    def _log_evaluation(self, stage: str) -> None:
        losses, figures = self._evaluation(stage).compute(self.weighting, self.untrained)
        numbers = {name: float(loss) for name, loss in losses.items()}
        refuse_infinite(numbers, numbers.pop(""), self.global_step)
        if self._fitting:
            module_checks.check_main_metric(figures["main"], self.main_metric or self.main_head)
            schedules.step_plateau(self.lr_schedulers(), figures["main"], losses[""])
        named = {f"loss/{name}".rstrip("/"): loss for name, loss in losses.items()}
        for key, value in {**named, **figures}.items():
            shown = key in ("loss", "main")  # More than a few do not fit into a line.
            # The same in all processes already, but Lightning expects `sync_dist`.
            self.log(f"{stage}/{key}", value, prog_bar=shown, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Make the optimiser and, where there is one, the scheduler."""
        modules = (self.network.heads, self.network.backbone, self.weighting)
        made_by = (self.optimizer, self.lr_scheduler, self.lr_interval)
        return schedules.configure(modules, self.backbone_lr, *made_by, self._trainer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a scheduler, but for the one that steps after validations."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def spec(self) -> ModelSpec:
        """The model as plain data: what a checkpoint needs to rebuild it."""
        return ModelSpec.of(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the spec into the checkpoint."""
        checkpoint[checkpoints.SPEC_KEY] = checkpoints.entry(self.spec())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model before loading its weights."""
        others = checkpoints.check_compatible(self.spec(), self.state_dict(), checkpoint)
        if others:
            rank_zero_info(f"The checkpoint has other settings: {'; '.join(others)}.")
        self.assume_trained(set(self.heads) - set(checkpoints.spec_of(checkpoint).untrained))

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
            map_location: The device for the weights.
            allow: Packages to import classes from, in addition to `parts.TRUSTED`; name your own
                here.

        Returns:
            The model in evaluation mode.

        Raises:
            CheckpointError: The file is not a checkpoint that can be trusted, or is damaged.
        """
        checkpoint = checkpoints.read(checkpoint_path, allow)
        spec = checkpoints.spec_of(checkpoint)
        model = spec.build(cls, checkpoint["state_dict"])
        model.assume_trained(set(spec.heads) - set(spec.untrained))
        return model.to(map_location).eval()
