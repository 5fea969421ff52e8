"""The folder that a command writes to: new or empty, so that nothing is overwritten."""

from pathlib import Path

from lightning_pose.errors import ConfigError

__all__ = ["check_output_folder", "make_output_folder"]


def check_output_folder(folder: Path) -> None:
    """Refuse a folder that is in use, before a command begins its work.

    Args:
        folder: The value of `--output`.

    Raises:
        ConfigError: It is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"Expected a new or empty folder for the output, found {folder} in use; choose another "
            "--output or empty it."
        )


def make_output_folder(folder: Path) -> None:
    """Make a folder, and those above it, just before it is written to.

    Args:
        folder: The value of `--output`.

    Raises:
        ConfigError: It cannot be created, or meanwhile another command has written to it.
    """
    check_output_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Expected to create the folder {folder}, found that it cannot be created "
            f"({error.strerror}); choose another --output."
        ) from error
