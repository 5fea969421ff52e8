"""`lightning fit`: train a model in a new run folder."""

import signal
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml
from jsonargparse import Namespace
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_pose import checkpoint, transfer
from lightning_pose.callbacks import (
    BestCheckpoint,
    ContactSheet,
    LastCheckpoint,
    LearningRate,
    LongRunNotice,
    RunSummary,
    SavePredictions,
    log_config,
)
from lightning_pose.checkpoint_io import AtomicCheckpointIO
from lightning_pose.commands.announcements import print_parts, report_busy_cores
from lightning_pose.commands.configs import packages, read_config, split_configs, values
from lightning_pose.commands.pose_cli import PoseCLI, as_list
from lightning_pose.errors import ConfigError
from lightning_pose.runs import Run

__all__ = ["FitCLI", "main"]


class FitCLI(PoseCLI):
    """Trains a model in the folder of a new run.

    Args:
        args: "fit" and the arguments after it.
        experiment: The run's experiment, unless `--experiment` names another.
    """

    run: Run | None = None
    resumed_at = 0
    saved: Namespace

    def __init__(self, args: Sequence[str], experiment: str) -> None:
        self.default_experiment = experiment
        try:
            super().__init__(args)
        except Exception:
            self._discard()
            raise
        finally:
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
        """Add the run's name and initial weights, and link the data module to the model."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--experiment",
            type=str | None,
            help="Name of the experiment, whose folder holds its runs; default: the config's name.",
        )
        parser.add_argument(
            "--run",
            type=str | None,
            help="Name of the run; by default its start time.",
        )
        parser.add_argument(
            "--init_from",
            type=str | None,
            help="Checkpoint to take weights from: backbone, and heads of the same name and class.",
        )
        for name in ("skeleton", "input_spec", "labels"):
            parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint to resume from; skip initial weights, and use its normalisation."""
        settings = self.config.fit
        if settings.ckpt_path is None:
            return
        content = checkpoint.read(settings.ckpt_path, allow=_packages(settings))
        if not {"optimizer_states", "loops", "global_step"} <= set(content):
            raise ConfigError(
                f"Expected the checkpoint of a run to resume, found weights alone in "
                f"{settings.ckpt_path}; start a new run from them with --init_from."
            )
        self.resumed_at = content["global_step"]
        spec = checkpoint.spec_of(content)
        backbone = settings.model.backbone
        for name in resolve_name(backbone.class_path).weight_sources:
            backbone.init_args[name] = None
        for name in ("mean", "std"):
            if settings.model[name] is None:
                settings.model[name] = list(getattr(spec, name))

    def before_instantiate_classes(self) -> None:
        """Claim the run's folder, and keep the config as it was before that folder was known."""
        settings = self.settings
        _remove_heads(settings.model)
        settings.experiment = settings.experiment or self.default_experiment
        self.saved = settings.clone()
        # A run repeated from its config must not claim this run's name.
        self.saved.run = None
        self.run = Run.claim(
            settings.trainer.default_root_dir or ".", settings.experiment, settings.run
        )
        folder = str(self.run.folder)
        settings.trainer.default_root_dir = folder
        for logger in as_list(settings.trainer.logger):
            if isinstance(logger, Namespace) and "save_dir" in logger.init_args:
                logger.init_args.save_dir = folder

    @property
    def folder(self) -> Path:
        """The run's folder."""
        assert self.run is not None, "a run is claimed before anything is built"
        return self.run.folder

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with our loggers and callbacks, and those from the config."""
        chosen = self.config_init.fit.trainer
        loggers = self._loggers(chosen.logger)
        callbacks = [*as_list(chosen.callbacks), *self._callbacks()]
        plugins = as_list(chosen.plugins)
        # A strategy that is an object may have its own.
        if isinstance(chosen.strategy, str) and not any(
            isinstance(plugin, CheckpointIO) for plugin in plugins
        ):
            plugins = [*plugins, AtomicCheckpointIO()]
        return super().instantiate_trainer(
            logger=loggers, callbacks=callbacks, plugins=plugins, **kwargs
        )

    def _loggers(self, chosen: Any) -> list[Logger]:
        if chosen is False:
            return []
        folder = str(self.folder)
        own: list[Logger] = [
            # First, because it warns if its folder contains a file when it starts.
            CSVLogger(folder, name="", version=""),
            TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
        ]
        return own + [logger for logger in as_list(chosen) if isinstance(logger, Logger)]

    def _callbacks(self) -> list[Callback]:
        self.summary = RunSummary(self.folder)
        predictions = SavePredictions(self.folder / "predictions.npz")
        return [
            BestCheckpoint(self.folder, [predictions, self.summary]),
            LastCheckpoint(self.folder),
            predictions,
            ContactSheet(self.folder / "pictures"),
            self.summary,
            LongRunNotice(),
            LearningRate(),
        ]

    def after_instantiate_classes(self) -> None:
        """Start from other weights where asked; a checkpoint to resume from brings all weights."""
        settings = self.settings
        if settings.init_from is not None and settings.ckpt_path is None:
            allow = _packages(settings)
            rank_zero_info(transfer.init_from(self.model, settings.init_from, allow))

    def before_fit(self) -> None:
        """Write the resolved config into the run's folder, and send it to the loggers."""
        if self.trainer.is_global_zero:
            print_parts(self.model)
            report_busy_cores(self.trainer)
            config = yaml.safe_load(self._parser("fit").dump(self.saved, skip_unset=False))
            log_config(self.trainer.loggers, config)
            # In ASCII, which reads the same in every encoding that a machine may use for text
            # files.
            (self.folder / "config.yaml").write_text(
                yaml.safe_dump(config, sort_keys=False), encoding="ascii"
            )

    def after_fit(self) -> None:
        """Write and print the best metrics, and print the run's folder and the next command."""
        if self.settings.ckpt_path is not None and self.trainer.global_step == self.resumed_at:
            raise ConfigError(
                f"Expected training left after step {self.resumed_at} of "
                f"{self.settings.ckpt_path}, found that its run has ended; raise "
                "--trainer.max_epochs, or what else ended it."
            )
        if self.trainer.is_global_zero and not getattr(self.trainer, "fast_dev_run", False):
            self.summary.save(self.trainer)
            self.summary.print()


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning fit`.

    Args:
        command: "fit".
        argv: The arguments after it.

    Returns:
        The exit status: 0, or 143 if the process was sent SIGTERM.

    Raises:
        InputError: A config, a dataset or a checkpoint cannot be used.
    """
    configs, words = split_configs(argv)
    if not configs and (paths := values(words, "--ckpt_path")):
        raise ConfigError(
            f"Expected --config to resume from {paths[-1]}, found none; name "
            f"{Path(paths[-1]).parent / 'config.yaml'}."
        )
    _check_head_names(configs, words)
    named = [f"--config={path}" for path in configs]
    # Of all configs, because runs of one experiment are compared with each other.
    stems = dict.fromkeys(path.stem for path in configs)
    try:
        FitCLI([command, *named, *words], "-".join(stems) or "unnamed")
    except SIGTERMException:
        return 128 + signal.SIGTERM
    return 0


def _check_head_names(configs: Sequence[Path], words: Sequence[str]) -> None:
    """Refuse settings for heads that nothing defines, because their names are misspelt.

    Raises:
        ConfigError: There are settings for a head that is not defined.
    """
    start = "--model.heads."
    if {"--model", "--model.heads"} & {word.split("=")[0] for word in words}:
        return  # Heads may be defined in that value.
    keys = [word.removeprefix(start).split("=")[0] for word in words if word.startswith(start)]
    named = [key for key in keys if "." not in key or key.endswith(".class_path")]
    known = {key.split(".")[0] for key in named}
    for path in configs:
        model = read_config(path).get("model")
        heads = model.get("heads") if isinstance(model, dict) else None
        known |= set(heads) if isinstance(heads, dict) else set()
    for key in keys:
        name = key.split(".")[0]
        if name not in known:
            raise ConfigError(
                f"Expected a setting of one of the heads {', '.join(sorted(known))}, found "
                f"{start}{key}; correct the name, or give the new head a class with {start}{name}."
            )


def _remove_heads(model: Namespace) -> None:
    """Remove the heads that a later config has set to null, and their weights."""
    weighting = model.weighting
    weights = weighting.init_args.get("weights") if weighting is not None else None
    for name in [name for name, head in model.heads.items() if head is None]:
        del model.heads[name]
        if isinstance(weights, dict):
            weights.pop(name, None)


def _packages(settings: Namespace) -> list[str]:
    return packages(settings.model.as_dict())
