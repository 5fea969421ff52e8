"""Configs on the command line: from a name to a file, and what code that file may name."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import set_parsing_settings

from lightning_pose import runs
from lightning_pose.errors import InputError

__all__ = ["LEFT_OUT", "TRUSTED", "distrust", "option", "resolve_configs"]

TRUSTED = (
    "lightning_pose.backbones",
    "lightning_pose.callbacks",
    "lightning_pose.datamodules",
    "lightning_pose.heads",
    "lightning_pose.schedules",
    "lightning_pose.weightings",
    "torch.nn",
    "torch.optim",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.plugins",
    "pytorch_lightning.profilers",
    "pytorch_lightning.strategies",
    "albumentations",
)
"""Where the classes come from that a config beside a checkpoint may name unasked."""

LEFT_OUT = ("callbacks", "profiler", "logger")
"""Keys of the trainer that are not taken from such a config: they write to the paths it says."""


def resolve_configs(argv: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Replace the names of configs by their files.

    Args:
        argv: The words behind a command.

    Returns:
        The words with paths in them, and these paths in their order.

    Raises:
        InputError: There is no such config, or it is not text in UTF-8.
    """
    words, configs = [], []
    takes_name = False
    for word in argv:
        if takes_name or word.startswith("--config="):
            path = runs.find_config(word.removeprefix("--config="))
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"Expected {path} to be text in UTF-8, found other bytes; save it as UTF-8."
                ) from error
            configs.append(path)
            words.append(str(path) if takes_name else f"--config={path}")
        else:
            words.append(word)
        takes_name = word in ("-c", "--config") and not takes_name
    return words, configs


def option(words: Sequence[str], name: str) -> str | None:
    """Look up what an option was given last.

    Args:
        words: The words behind a command.
        name: The option, such as "--ckpt_path".

    Returns:
        Its value, or None where it was not given.

    Example:
        >>> option(["--ckpt_path", "a.ckpt", "--ckpt_path=b.ckpt"], "--ckpt_path")
        'b.ckpt'
    """
    value = None
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            value = words[index + 1]
        elif word.startswith(f"{name}="):
            value = word.removeprefix(f"{name}=")
    return value


def distrust() -> None:
    """Refuse other people's classes from now on: the config was not named, and may be a stranger's.

    jsonargparse asks this list before it imports anything that a value names. What is refused stays
    refused until the process ends.
    """
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(TRUSTED))
