"""The data module that configs and the command line describe, without a model or a trainer."""

import json
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from lightning_pose.commands.configs import read_config, restrict_parsing
from lightning_pose.commands.refusals import explain_setting
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.errors import ConfigError

__all__ = ["data_module"]


def data_module(configs: Sequence[Path], words: Sequence[str]) -> PoseDataModule:
    """Build the data module of configs, as `fit` does, for commands that only look at the data.

    Args:
        configs: The files, a later one overriding an earlier one. Only their key `data` is read.
        words: Settings of the data on the command line, such as "--data.root" and a folder.

    Returns:
        The data module; none of its splits is open yet.

    Raises:
        ConfigError: Nothing says what the data are, or a class refuses its settings.
        argparse.ArgumentError: A word or a key is not a setting of the data.
    """
    contents = [read_config(path) for path in configs]
    chosen = [{"data": content["data"]} for content in contents if "data" in content]
    if not chosen and "--data" not in {word.split("=")[0] for word in words}:
        raise ConfigError(
            "Expected a config that describes data, found none; name one, such as "
            "--config data/lspet.yaml."
        )
    restrict_parsing()
    parser = ArgumentParser(prog="lightning", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(PoseDataModule, "data", fail_untyped=False, required=True)
    # YAML's dates are text here.
    inline = [f"--config={json.dumps(content, default=str)}" for content in chosen]
    settings = parser.parse_args([*inline, *words])
    try:
        data: PoseDataModule = parser.instantiate_classes(settings).data
    except (ValueError, ModuleNotFoundError) as error:
        raise ConfigError(explain_setting(error)) from error
    return data
