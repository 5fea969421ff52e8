"""`lightning fit`: train a model in a new run folder."""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

import yaml
from jsonargparse import Namespace
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_info

from lightning_pose import checkpoint, transfer
from lightning_pose.atomic import replacing
from lightning_pose.callbacks import (
    AttentionSheet,
    BestCheckpoint,
    ContactSheet,
    GradientTelemetry,
    LastCheckpoint,
    LearningRate,
    LongRunNotice,
    MetricsFile,
    RunSummary,
    SavePredictions,
    SkippedPeople,
    StepRandomState,
    log_config,
    log_results,
    logger_callbacks,
    logger_settings,
)
from lightning_pose.checkpoint_io import AtomicCheckpointIO
from lightning_pose.commands import announcements
from lightning_pose.commands.configs import packages, split_configs, values
from lightning_pose.commands.fit_options import add_fit_options
from lightning_pose.commands.head_settings import check_head_names, remove_heads
from lightning_pose.commands.memory import freeze_objects, keep_freed_memory
from lightning_pose.commands.pose_cli import PoseCLI, as_list
from lightning_pose.commands.resume import find_stopped
from lightning_pose.commands.slurm import slurm_plugins
from lightning_pose.commands.stopped import exit_status
from lightning_pose.errors import ConfigError, InfiniteLossError
from lightning_pose.runs import Run

__all__ = ["FitCLI", "main"]


class FitCLI(PoseCLI):
    """Trains a model in the folder of a new run.

    Args:
        args: "fit" and the arguments after it.
        experiment: The run's experiment, unless `--experiment` names another.
    """

    help_texts: ClassVar = {
        "fit": (
            "--config CONFIG [--config CONFIG ...] [--KEY VALUE ...]",
            "Train a model in the folder of a new run. A later config overrides an earlier one, "
            "and keys on the command line override all; shipped configs, such as combined.yaml, "
            "are found by their names. --print_config shows what that resolves to, and "
            "--model.backbone.help CLASS the settings of a class. --ckpt_path auto continues the "
            "newest unfinished run of the same config. Without --trainer.precision, the device "
            "decides.",
        )
    }
    run: Run | None = None
    resumed_at = 0
    continued = False
    resumed_states: Mapping[str, Any] | None = None
    saved: dict[str, Any]

    def __init__(self, args: Sequence[str], experiment: str) -> None:
        self.default_experiment = experiment
        try:
            super().__init__(args)
        except Exception:
            self._discard()
            raise
        finally:
            gc.unfreeze()
            if self.run is not None:
                self.run.release()

    def _discard(self) -> None:
        """Remove the folder of a run that failed before its first step."""
        trainer: Trainer | None = getattr(self, "trainer", None)
        if self.run is None or (trainer is not None and trainer.global_step > self.resumed_at):
            return
        for logger in trainer.loggers if trainer is not None else ():
            logger.finalize("failed")  # TensorBoard's thread still has the folder in use.
        self.run.discard()

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Only `fit`, without the option to load checkpoints that contain code."""
        return {"fit": LightningCLI.subcommands()["fit"] | {"weights_only"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of `fit` alone, and link the data module to the model."""
        super().add_arguments_to_parser(parser)
        add_fit_options(parser)
        for name in ("skeleton", "input_spec", "labels"):
            parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint to resume from; skip initial weights, and use its normalisation."""
        settings = self.config.fit
        self._keep_config(settings)
        allow = _packages(settings)
        if settings.ckpt_path == "auto":
            root = settings.trainer.default_root_dir or "."
            experiment, name = settings.experiment, settings.run
            self.run, settings.ckpt_path = find_stopped(root, experiment, self.saved, name, allow)
            self.continued = self.run is not None
        if settings.ckpt_path is None:
            return
        content = checkpoint.read(settings.ckpt_path, allow)
        if not {"optimizer_states", "loops", "global_step"} <= set(content):
            raise ConfigError(
                f"Expected the checkpoint of a run to resume, found weights alone in "
                f"{settings.ckpt_path}; start a new run from them with --init_from."
            )
        self.resumed_at = content["global_step"]
        self.resumed_states = content.get("callbacks")
        spec = checkpoint.spec_of(content)
        backbone = settings.model.backbone
        for name in resolve_name(backbone.class_path).weight_sources:
            backbone.init_args[name] = None
        for name in ("mean", "std"):
            if settings.model[name] is None:
                settings.model[name] = list(getattr(spec, name))

    def _keep_config(self, settings: Namespace) -> None:
        """Keep the config as it is before the run's folder and its checkpoint are known."""
        remove_heads(settings.model)
        settings.experiment = settings.experiment or self.default_experiment
        saved = settings.clone()
        # A run repeated from its config must not claim this run's name, or resume it.
        saved.run = saved.ckpt_path = None
        self.saved = yaml.safe_load(self._parser("fit").dump(saved, skip_unset=False))

    def before_instantiate_classes(self) -> None:
        """Claim the run's folder, unless it continues in that of an earlier process."""
        settings = self.settings
        if self.run is None:
            self.run = Run.claim(
                settings.trainer.default_root_dir or ".", settings.experiment, settings.run
            )
        folder = str(self.run.folder)
        settings.trainer.default_root_dir = folder
        for logger in as_list(settings.trainer.logger):
            if not isinstance(logger, Namespace):
                continue
            if "save_dir" in logger.init_args:
                logger.init_args.save_dir = folder
            own = logger_settings(logger.class_path, self.run.folder, self.resumed_states)
            for name, value in own.items():
                if logger.init_args.get(name, "") is None:
                    logger.init_args[name] = value

    @property
    def folder(self) -> Path:
        """The run's folder."""
        assert self.run is not None, "a run is claimed before anything is built"
        return self.run.folder

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with our loggers and callbacks, and those from the config."""
        chosen = self.config_init.fit.trainer
        loggers = self._loggers(chosen.logger)
        callbacks = [*as_list(chosen.callbacks), *self._callbacks(loggers)]
        if not any(isinstance(one, GradientTelemetry) for one in as_list(chosen.callbacks)):
            callbacks.append(GradientTelemetry())
        plugins = [*as_list(chosen.plugins), *slurm_plugins(as_list(chosen.plugins))]
        trainer = super().instantiate_trainer(
            logger=loggers, callbacks=callbacks, plugins=plugins, **kwargs
        )
        # The config may choose another one, as a plugin or in its strategy.
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def _loggers(self, chosen: Any) -> list[Logger]:
        if chosen is False:
            return []
        # What a continued run had logged after its checkpoint is logged again.
        steps = self.resumed_at if self.continued else None
        own: list[Logger] = [
            MetricsFile(self.folder, steps),
            TensorBoardLogger(
                str(self.folder), name="", version="", default_hp_metric=False, purge_step=steps
            ),
        ]
        return own + [logger for logger in as_list(chosen) if isinstance(logger, Logger)]

    def _callbacks(self, loggers: Sequence[Logger]) -> list[Callback]:
        settings = self.settings
        foreign = self.model.spec().packages - {"lightning_pose", "torch"}
        self.summary = RunSummary(self.folder, sorted(foreign))
        predictions = SavePredictions(self.folder / "predictions.npz")
        for_loggers = logger_callbacks(loggers, predictions.path)
        return [
            StepRandomState(settings.seed_everything),
            BestCheckpoint(self.folder, [predictions, self.summary, *for_loggers]),
            LastCheckpoint(self.folder, settings.save_every_n_steps, settings.save_every_n_minutes),
            predictions,
            ContactSheet(self.folder / "pictures"),
            AttentionSheet(self.folder / "pictures"),
            self.summary,
            *for_loggers,
            LongRunNotice(),
            LearningRate(),
            SkippedPeople(),
        ]

    def after_instantiate_classes(self) -> None:
        """Start from other weights where asked; a checkpoint to resume from brings all weights."""
        settings = self.settings
        if settings.init_from is not None and settings.ckpt_path is None:
            allow = _packages(settings)
            rank_zero_info(transfer.init_from(self.model, settings.init_from, allow))

    def before_fit(self) -> None:
        """Write the resolved config into the run's folder, and send it to the loggers."""
        keep_freed_memory(self.trainer.strategy.root_device)
        freeze_objects()
        if self.trainer.is_global_zero:
            announcements.print_parts(self.model)
            announcements.report_precision(self.trainer)
            announcements.report_busy_cores(self.trainer)
            log_config(self.trainer.loggers, self.saved)
            # In ASCII, which reads the same in every encoding of text files.
            with replacing(self.folder / "config.yaml") as file:
                file.write(yaml.safe_dump(self.saved, sort_keys=False).encode("ascii"))

    def after_fit(self) -> None:
        """Write and print the best metrics, and print the run's folder and the next command."""
        # A run may also have been stopped between its last step and its end.
        nothing_left = self.trainer.global_step == self.resumed_at and not self.continued
        if self.settings.ckpt_path is not None and nothing_left:
            raise ConfigError(
                f"Expected training left after step {self.resumed_at} of "
                f"{self.settings.ckpt_path}, found that its run has ended; raise "
                "--trainer.max_epochs, or what else ended it."
            )
        if self.trainer.is_global_zero and not getattr(self.trainer, "fast_dev_run", False):
            self.summary.save(self.trainer)
            log_results(self.trainer.loggers, self.saved, *self.summary.best())
            self.summary.print()


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning fit`.

    Args:
        command: "fit".
        argv: The arguments after it.

    Returns:
        The exit status: 0, or what `exit_status` says after a signal.

    Raises:
        InputError: A config, a dataset or a checkpoint cannot be used.
    """
    configs, words = split_configs(argv)
    if not configs and (paths := values(words, "--ckpt_path")):
        raise ConfigError(
            f"Expected --config to resume from {paths[-1]}, found none; name "
            f"{Path(paths[-1]).parent / 'config.yaml'}."
        )
    check_head_names(configs, words)
    named = [f"--config={path}" for path in configs]
    # Of all configs, because runs of one experiment are compared with each other.
    stems = dict.fromkeys(path.stem for path in configs)
    try:
        FitCLI([command, *named, *words], "-".join(stems) or "unnamed")
    except (SystemExit, InfiniteLossError) as ended:
        return exit_status(ended)
    return 0


def _packages(settings: Namespace) -> list[str]:
    return packages(settings.model.as_dict())
