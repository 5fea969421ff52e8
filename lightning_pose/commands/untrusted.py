"""What nobody on the command line has named: a checkpoint's model, and the config beside it.

jsonargparse imports the class that a value names wherever a parameter is typed as a class or a
function. It asks a list before it does, and here that list is short. Each part is parsed alone:
the words of the user may name any class.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, _common, set_parsing_settings

from lightning_pose.commands.configs import read_config
from lightning_pose.commands.refusals import explain_untrusted
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.errors import CheckpointError, ConfigError
from lightning_pose.module import PoseModule

__all__ = ["check_model", "data_beside"]

_MODEL = (
    "lightning_pose.backbones",
    "lightning_pose.heads",
    "lightning_pose.metrics",
    "lightning_pose.weightings",
    "torch.nn",
)
"""Whose classes the model of a checkpoint may name."""

_DATA = ("lightning_pose.datamodules", "albumentations")
"""Whose classes the data of a config beside a checkpoint may name."""


def check_model(model: dict[str, Any], ckpt_path: Path, allow: Sequence[str]) -> None:
    """Refuse a model whose arguments name other classes, where only text was expected so far.

    Args:
        model: The model of a checkpoint in the form of a config's `model` key.
        ckpt_path: The checkpoint, for messages.
        allow: Packages to trust besides our own parts and torch.nn.

    Raises:
        CheckpointError: An argument names another class, or its class does not take it.
    """
    parser = ArgumentParser(exit_on_error=False)
    # Their defaults are classes too, and no checkpoint names another.
    skip: set[str | int] = {"optimizer", "lr_scheduler"}
    parser.add_class_arguments(PoseModule, "model", fail_untyped=False, skip=skip)
    trusted = [*_MODEL, *allow]
    try:
        _parse(parser, {"model": model}, trusted)
    except ArgumentError as error:
        raise CheckpointError(explain_untrusted(error, ckpt_path, trusted, "--allow")) from error


def data_beside(ckpt_path: Path, allow: Sequence[str]) -> Any:
    """Read the data of the config beside a checkpoint, and nothing else of it.

    Args:
        ckpt_path: The checkpoint.
        allow: Packages to trust besides our own data modules and albumentations.

    Returns:
        What the key `data` holds.

    Raises:
        ConfigError: There is no such config, it has no data, or these name other classes.
    """
    path = ckpt_path.parent / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"Expected config.yaml beside {ckpt_path}, found none; name the data with --config."
        )
    data = read_config(path).get("data")
    if data is None:
        raise ConfigError(f"Expected data in {path}, found none; name the data with --config.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    trusted = [*_DATA, *allow]
    try:
        _parse(parser, {"data": data}, trusted)
    except ArgumentError as error:
        raise ConfigError(explain_untrusted(error, path, trusted, "--config or --allow")) from error
    return data


def _parse(parser: ArgumentParser, values: dict[str, Any], trusted: Sequence[str]) -> None:
    with _importing_only(trusted):
        parser.parse_object(deepcopy(values))  # It changes what it is given.


@contextmanager
def _importing_only(packages: Sequence[str]) -> Iterator[None]:
    # jsonargparse can add to what is denied, but has no public way to take that back.
    before = _common.parsing_settings.copy()
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=list(packages),
        instantiate_subclass_spec_in_any=False,
    )
    try:
        yield
    finally:
        _common.parsing_settings.update(before)
