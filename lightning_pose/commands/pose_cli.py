"""What fit, validate and test share: LightningCLI for PoseModule and any data module."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from pytorch_lightning import Trainer
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.plugins.precision import Precision

# These imports let a config name their classes without the package prefix.
import lightning_pose.backbones
import lightning_pose.callbacks
import lightning_pose.heads
import lightning_pose.metrics
import lightning_pose.schedules
import lightning_pose.weightings  # noqa: F401
from lightning_pose.commands.configs import restrict_parsing
from lightning_pose.commands.nulls import refuse_nulls
from lightning_pose.commands.refusals import explain_setting
from lightning_pose.commands.trainer_checks import check_settings, check_trainer
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.errors import ConfigError
from lightning_pose.module import PoseModule
from lightning_pose.precision import AutoPrecision
from lightning_pose.sync_batch_norm import TimmSyncBatchNorm

__all__ = ["PoseCLI", "as_list"]

_EXPECTED_WARNINGS = (
    # A run's folder holds its checkpoints next to its logs.
    "Checkpoint directory .* exists and is not empty",
    # A checkpoint is scored without the callbacks of its run, and resumed in a new folder, where
    # the paths of the best checkpoints so far mean nothing.
    "Be aware that when using `ckpt_path`, callbacks",
    "The dirpath has changed from",
    # The model summary counts bytes in single precision.
    "Precision .* is not supported by the model summary",
    # Frozen layers of a pretrained encoder stay in evaluation mode.
    r"Found \d+ module\(s\) in eval mode",
    # Lightning 2.6.6 uses a name that PyTorch has replaced.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)
"""Lightning's warnings about intended behaviour, for which it has no setting."""


_NOT_ZERO = (
    # Lightning divides by these.
    "accumulate_grad_batches",
    "check_val_every_n_epoch",
    "val_check_interval",
    # It would train nothing.
    "limit_train_batches",
)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "https://pypi.org/project/lit" not in record.getMessage()


# Lightning advertises litlogger and litmodels at the start of every run.
logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_no_advertisement)


class PoseCLI(LightningCLI):
    """Parses a command's arguments, builds the model, data module and trainer, and runs them.

    A subclass says in `help_texts` how each of its commands is called, and what it does: the list
    of all options that follows is too long to find that.

    Args:
        args: The command and the arguments after it.
    """

    help_texts: ClassVar[dict[str, tuple[str, str]]]

    def __init__(self, args: Sequence[str]) -> None:
        restrict_parsing()
        # Raising instead of exiting lets the command report every error in the same way.
        raising = {"exit_on_error": False, "allow_abbrev": False}
        with warnings.catch_warnings():
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            super().__init__(
                PoseModule,
                PoseDataModule,
                subclass_mode_data=True,
                seed_everything_default=0,
                save_config_callback=None,
                trainer_defaults={
                    "default_root_dir": "checkpoints",
                    # `fit` prints a table of its own.
                    "enable_model_summary": False,
                    "use_distributed_sampler": False,
                },
                parser_kwargs={
                    "prog": "lightning",
                    **raising,
                    **{
                        command: {
                            **raising,
                            "usage": f"lightning {command} {usage}",
                            "description": words,
                        }
                        for command, (usage, words) in self.help_texts.items()
                    },
                },
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                args=list(args),
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the number of threads, and link the data module's seed to `seed_everything`."""
        parser.add_argument(
            "--threads",
            type=PositiveInt | None,
            help="Threads with which a process computes on the CPU; by default one per core. "
            "With 1, several runs share a machine without waiting for each other.",
        )
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments, whatever this process was started with."""
        assert isinstance(args, list), "PoseCLI passes words"
        self.config = parser.parse_args(args)
        settings = self.config[self.config.subcommand]
        seed = settings.seed_everything
        if not 0 <= seed < 2**32:
            raise ConfigError(
                f"Expected seed_everything from 0 to {2**32 - 1}, found {seed}; correct it."
            )
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        for name in _NOT_ZERO:
            if settings.trainer[name] == 0:
                raise ConfigError(f"Expected trainer.{name} above 0, found 0; the default is 1.")
        refuse_nulls("model", settings.model, PoseModule)
        refuse_nulls("data", settings.data)

    @property
    def settings(self) -> Namespace:
        """The parsed config of the chosen command."""
        settings: Namespace = self.config[str(self.subcommand)]
        return settings

    def instantiate_classes(self) -> None:
        """Build the data module, the model and the trainer."""
        try:
            super().instantiate_classes()
        # A class rejects its arguments, or the package of an accelerator or strategy is missing.
        except (ValueError, ModuleNotFoundError) as error:
            raise ConfigError(explain_setting(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer, with the precision that suits the device unless one was chosen."""
        chosen = self.config_init[self.subcommand].trainer
        plugins = kwargs.pop("plugins", None) or as_list(chosen.plugins)
        check_settings(chosen.strategy, as_list(chosen.callbacks))
        if chosen.precision is None and not any(isinstance(p, Precision) for p in plugins):
            plugins = [*plugins, AutoPrecision()]
        if chosen.sync_batchnorm:
            plugins = [*plugins, TimmSyncBatchNorm()]
        trainer = super().instantiate_trainer(plugins=plugins, **kwargs)
        check_trainer(trainer, chosen.sync_batchnorm)
        return trainer

    def _parse_ckpt_path(self) -> None:
        """Skip the checkpoint: Lightning looks for hyperparameters in it, and ours have none."""

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        # Not an option: a checkpoint that needs code to be loaded is never loaded.
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}


def as_list(value: Any) -> list[Any]:
    """The items of a trainer argument that may be one item, several items, a boolean or None."""
    if value is None or value is True or value is False:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
