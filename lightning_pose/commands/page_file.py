"""The page that a command writes: a new file, or in the place of an older page of the command."""

import os
from pathlib import Path

from lightning_pose.errors import ConfigError

__all__ = ["check_page", "write_page"]


def check_page(path: Path, mark: str, command: str) -> None:
    """Refuse to replace anything but an older page of a command, before it begins its work.

    Args:
        path: The value of `--output`.
        mark: What the pages of this command contain at the beginning.
        command: The command, such as "doctor".

    Raises:
        ConfigError: The folder is missing, or something else is there.
    """
    if not path.parent.is_dir():
        raise ConfigError(
            f"Expected a folder for the page at {path.parent}, found none; create it, or choose "
            "another --output."
        )
    if not path.exists():
        return
    is_ours = False
    if path.is_file():
        with path.open("rb") as file:
            is_ours = mark.encode() in file.read(1000)
    if not is_ours:
        raise ConfigError(
            f"Expected no file, or an older page of lightning {command}, at {path}, found "
            "something else; choose another --output."
        )


def write_page(path: Path, text: str) -> None:
    """Write a page as a whole, so that an interruption leaves the older one.

    Args:
        path: The value of `--output`.
        text: The page.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
