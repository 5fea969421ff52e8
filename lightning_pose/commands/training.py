"""`lightning fit`, `validate` and `test`: LightningCLI, run folders and checked checkpoints."""

import logging
import re
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace, set_parsing_settings
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities import rank_zero_info

# These imports let a config name their classes without the package in front.
import lightning_pose.backbones
import lightning_pose.callbacks
import lightning_pose.datamodules
import lightning_pose.heads
import lightning_pose.schedules
import lightning_pose.weightings  # noqa: F401
from lightning_pose import checkpoint, runs
from lightning_pose.callbacks import ContactSheet, RunSummary, SavePredictions, log_config
from lightning_pose.commands.configs import LEFT_OUT, TRUSTED, distrust, option, resolve_configs
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.errors import InputError
from lightning_pose.module import PoseModule
from lightning_pose.precision import AutoPrecision

__all__ = ["PoseCLI", "main"]


class PoseCLI(LightningCLI):
    """LightningCLI for PoseModule and any PoseDataModule, one folder a run."""

    run_folder: Path
    saved: Namespace

    def __init__(self, args: Sequence[str], experiment: str) -> None:
        self.default_experiment = experiment
        # Raising instead of exiting lets `main` say every error in the same way.
        parser_kwargs = {"exit_on_error": False}
        super().__init__(
            PoseModule,
            PoseDataModule,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_callback=None,
            trainer_defaults={"default_root_dir": "checkpoints", "use_distributed_sampler": False},
            parser_kwargs={
                **parser_kwargs,
                **{command: dict(parser_kwargs) for command in self.subcommands()},
            },
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=list(args),
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's subcommands without its `predict`: ours takes plain pictures."""
        commands = LightningCLI.subcommands()
        return {name: commands[name] | {"weights_only"} for name in ("fit", "validate", "test")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's name, and link the data module to the model."""
        parser.add_argument(
            "--experiment", type=str | None, help="Folder of the run; by default the config's name."
        )
        parser.add_argument(
            "--run",
            type=str | None,
            help="Name of the run; by default the time at which it starts.",
        )
        parser.link_arguments("seed_everything", "data.init_args.seed")
        parser.link_arguments("data.skeleton", "model.skeleton", apply_on="instantiate")
        parser.link_arguments("data.input_size", "model.input_size", apply_on="instantiate")
        parser.link_arguments("data.enlarge", "model.enlarge", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the words that were given, whatever this process was started with."""
        assert isinstance(args, list), "PoseCLI passes words"
        self.config = parser.parse_args(args)
        seed = self.config[self.config.subcommand].seed_everything
        if not 0 <= seed < 2**32:
            raise InputError(
                f"Expected seed_everything from 0 to {2**32 - 1}, found {seed}; correct it."
            )

    @property
    def settings(self) -> Namespace:
        """The parsed config of the chosen command."""
        settings: Namespace = self.config[str(self.subcommand)]
        return settings

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint, where Lightning would read its hyperparameters: ours has none."""
        command = self.config.get("subcommand")
        if command is None or self.config[command].ckpt_path is None:
            return
        settings = self.config[command]
        content = checkpoint.read(settings.ckpt_path, allow=_packages(settings))
        # The checkpoint brings the weights, so none need to be fetched; and with them what they
        # want pictures normalised by.
        arguments = settings.model.backbone.get("init_args")
        if arguments is not None and arguments.get("pretrained") is not None:
            arguments.pretrained = None
            for name in ("mean", "std"):
                if settings.model[name] is None:
                    settings.model[name] = content[checkpoint.SPEC_KEY]["model"][name]

    def before_instantiate_classes(self) -> None:
        """Claim the run's folder, and keep the config as it was before it knew that folder."""
        settings = self.settings
        if self.subcommand != "fit":
            settings.trainer.logger = False
            return
        settings.experiment = settings.experiment or self.default_experiment
        self.saved = settings.clone()
        # A run repeated from its config must not claim this run's name.
        self.saved.run = None
        self.run_folder = runs.claim_run(
            settings.trainer.default_root_dir or ".", settings.experiment, settings.run
        )
        settings.trainer.default_root_dir = str(self.run_folder)
        for logger in _as_list(settings.trainer.logger):
            if isinstance(logger, Namespace) and "save_dir" in logger.init_args:
                logger.init_args.save_dir = str(self.run_folder)

    def instantiate_classes(self) -> None:
        """Make the data module, the model and the trainer."""
        try:
            super().instantiate_classes()
        # The last of them for an accelerator or a strategy whose package is not installed.
        except (ValueError, TypeError, MisconfigurationException, ModuleNotFoundError) as error:
            raise _refusal(error) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with our precision, loggers and callbacks where none were chosen."""
        chosen = self.config_init[self.subcommand].trainer
        plugins = _as_list(chosen.plugins)
        if chosen.precision is None and not any(isinstance(p, Precision) for p in plugins):
            kwargs["plugins"] = [*plugins, AutoPrecision()]
        if self.subcommand == "fit":
            kwargs["logger"] = self._loggers(chosen.logger)
            kwargs["callbacks"] = [*_as_list(chosen.callbacks), *self._callbacks(kwargs["logger"])]
        return super().instantiate_trainer(**kwargs)

    def _loggers(self, chosen: Any) -> list[Logger]:
        if chosen is False:
            return []
        folder = str(self.run_folder)
        own: list[Logger] = [
            TensorBoardLogger(folder, name="", version=""),
            CSVLogger(folder, name="", version=""),
        ]
        return own + [logger for logger in _as_list(chosen) if isinstance(logger, Logger)]

    def _callbacks(self, loggers: list[Logger]) -> list[Callback]:
        # With save_last, Lightning leaves out a validation that is not the best.
        last, best = (
            ModelCheckpoint(
                self.run_folder, name, monitor, mode="max", enable_version_counter=False
            )
            for name, monitor in (("last", "step"), ("best", "val/main"))
        )
        self.summary = RunSummary(self.run_folder)
        callbacks: list[Callback] = [
            best,
            last,
            SavePredictions(self.run_folder / "predictions.npz"),
            ContactSheet(self.run_folder / "pictures"),
            self.summary,
        ]
        return callbacks + ([LearningRateMonitor()] if loggers else [])

    def before_fit(self) -> None:
        """Write the resolved config into the run's folder, and send it to the loggers."""
        if self.trainer.is_global_zero:
            config = yaml.safe_load(self._parser("fit").dump(self.saved, skip_unset=False))
            # In ASCII, which every encoding of a machine's text files reads alike.
            (self.run_folder / "config.yaml").write_text(
                yaml.safe_dump(config, sort_keys=False), encoding="ascii"
            )
            log_config(self.trainer.loggers, config)

    def after_fit(self) -> None:
        """Print the best figures, where the run is, and the next command."""
        if self.trainer.is_global_zero:
            self.summary.print()

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        # No switch: a checkpoint that needs code to be loaded is never loaded.
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}


def main(command: str, argv: Sequence[str]) -> None:
    """Run fit, validate or test.

    Args:
        command: "fit", "validate" or "test".
        argv: The words behind the command.

    Raises:
        InputError: A config, a key, a value, a dataset or a checkpoint cannot be used.
    """
    words, configs = resolve_configs(argv)
    set_parsing_settings(
        # No commands, pickles and the like in any config, nor files from elsewhere, nor classes
        # where a value is wanted.
        import_path_denylist=[],
        config_read_mode_fsspec_enabled=False,
        instantiate_subclass_spec_in_any=False,
    )
    checkpoint_path = option(words, "--ckpt_path")
    if command != "fit" and checkpoint_path is None and not {"-h", "--help"} & set(words):
        raise InputError(
            f"Expected --ckpt_path for `lightning {command}`, found none; name RUN/best.ckpt."
        )
    if not configs and checkpoint_path is not None:
        # Before the config is even looked at: a hostile file must not get that far.
        checkpoint.read(checkpoint_path)
        found = runs.config_of(checkpoint_path)
        distrust()
        configs = [found]
        words = ["--config", str(found), *(f"--trainer.{key}=null" for key in LEFT_OUT), *words]
        said = _trainer_of(found)
        named = [key for key in LEFT_OUT if said.get(key) not in (None, True, False)]
        if command == "fit" and named:
            rank_zero_info(
                f"Going on with {found}, but without its trainer.{' and trainer.'.join(named)}, "
                "since nobody named that config; name it with --config to have them."
            )
    experiment = configs[0].stem if configs else "unnamed"
    for message in (
        # The folder is new: these warn of files that this very run has just written there.
        "Experiment logs directory .* exists and is not empty",
        "Checkpoint directory .* exists and is not empty",
        # A checkpoint is scored, or trained on in a new folder, without the old one's bookkeeping.
        "Be aware that when using `ckpt_path`, callbacks",
        "The dirpath has changed from",
        # What Lightning says of its own inside.
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
        "Precision .* is not supported by the model summary",
        # Frozen layers of a pretrained encoder.
        r"Found \d+ module\(s\) in eval mode",
    ):
        warnings.filterwarnings("ignore", message)
    # An advertisement, printed at the start of every run.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "litlogger" not in record.getMessage()
    )
    try:
        PoseCLI([command, *words], experiment)
    except Exception as error:
        runs.discard_run()
        if isinstance(error, ArgumentError):
            raise InputError(_explain(error, command)) from error
        if isinstance(error, MisconfigurationException) or _is_setting(error):
            raise _refusal(error) from error
        raise
    finally:
        runs.release_run()


def _packages(settings: Namespace) -> list[str]:
    """The packages of the classes in a config: who wrote it there has decided to run them."""
    paths = re.findall(r"class_path='([\w.]+)'", repr(settings.model))
    known = {package.split(".")[0] for package in checkpoint.TRUSTED}
    return sorted({path.split(".")[0] for path in paths} - known)


def _as_list(value: Any) -> list[Any]:
    if value is None or value is True or value is False:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _trainer_of(config: Path) -> dict[str, Any]:
    """What a config says of the trainer, as far as plain YAML shows it."""
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"Expected YAML in UTF-8 in {config}, found that it cannot be read "
            f"({' '.join(str(error).split())}); name another config with --config."
        ) from error
    trainer = content.get("trainer") if isinstance(content, dict) else None
    return trainer if isinstance(trainer, dict) else {}


def _is_setting(error: Exception) -> bool:
    """Whether Lightning refuses a setting by a plain error: an interval, a callback's monitor."""
    frames = list(traceback.walk_tb(error.__traceback__))
    module = str(frames[-1][0].f_globals.get("__name__", ""))
    places = ("pytorch_lightning.callbacks.", "pytorch_lightning.loops.fit_loop")
    return type(error) in (ValueError, RuntimeError) and module.startswith(places)


def _refusal(error: Exception) -> InputError:
    """The sentence of ours behind an error of jsonargparse, or else one around its own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__cause__ or cause.__context__
    words = " ".join(str(error).split()).rstrip(".")
    return InputError(
        f"Expected settings that their classes accept, found: {words}; correct the config."
    )


def _explain(error: ArgumentError, command: str) -> str:
    """Say in one sentence what jsonargparse says in many."""
    detail = " ".join(str(error).split())
    key = re.search(r'(?:Parser key|Validation failed: Key) "?([\w.]+)', detail)
    where = key[1].strip("'\".") if key else "a key"
    if denied := re.search(r"Importing '([\w.]+)' is not allowed, denied by the '(.+?)'", detail):
        if denied[2] != "*":
            return (
                f"Expected a class that a config may name, found {denied[1]!r}, which could run "
                "anything; remove it."
            )
        return (
            f"Expected the config beside the checkpoint to name only classes of "
            f"{', '.join(TRUSTED)}, found {denied[1]!r}; only if you trust that code, name the "
            "config with --config."
        )
    if unknown := re.search(r"Expected a dot import path string: (\w+)", detail):
        return (
            f"Expected class_path under {where} to name a class of ours, or to be a full path such "
            f"as package.module.Class, found {unknown[1]!r}; correct its spelling, or import it in "
            "its folder's __init__.py."
        )
    return (
        f"Expected a command line and configs that fit together, found: {detail.rstrip('.')}; see "
        f"`lightning {command} --help` for the keys."
    )
