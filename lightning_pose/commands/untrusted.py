"""Checks of input that the user did not write: a checkpoint's model, and the config next to it.

Where a parameter is typed as a class or a function, jsonargparse imports whatever class the value
names. Here, an allowlist restricts that import to a few packages. Each input is parsed separately,
because the user's own arguments may name any class.
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

__all__ = ["check_model", "data_next_to"]

_MODEL = (
    "lightning_pose.backbones",
    "lightning_pose.heads",
    "lightning_pose.metrics",
    "lightning_pose.weightings",
    "torch.nn",
)
"""Packages whose classes the model in a checkpoint may name."""

_DATA = ("lightning_pose.datamodules", "albumentations")
"""Packages whose classes the data in a config next to a checkpoint may name."""


def check_model(model: dict[str, Any], ckpt_path: Path, allow: Sequence[str]) -> None:
    """Refuse a model whose arguments name classes outside the trusted packages.

    Args:
        model: The model of a checkpoint in the form of a config's `model` key.
        ckpt_path: The checkpoint, for messages.
        allow: Packages to trust besides our own parts and torch.nn.

    Raises:
        CheckpointError: An argument names another class, or its class does not take it.
    """
    parser = ArgumentParser(exit_on_error=False)
    # A checkpoint stores neither, and the default optimizer is a class outside the allowlist.
    skip: set[str | int] = {"optimizer", "lr_scheduler"}
    parser.add_class_arguments(PoseModule, "model", fail_untyped=False, skip=skip)
    trusted = [*_MODEL, *allow]
    try:
        _parse(parser, {"model": model}, trusted)
    except ArgumentError as error:
        raise CheckpointError(explain_untrusted(error, ckpt_path, trusted, "--allow")) from error


def data_next_to(ckpt_path: Path, allow: Sequence[str]) -> Any:
    """Read the data of the config next to a checkpoint, and nothing else of it.

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
            f"Expected config.yaml next to {ckpt_path}, found none; give the data with --config."
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
