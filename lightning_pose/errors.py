"""Errors for user input that cannot be used."""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "InfiniteLossError",
    "InputError",
    "LeakError",
    "MissingSplitError",
    "printable",
]


class InputError(ValueError):
    """A file, a setting or a checkpoint from the user cannot be used.

    Its message is one sentence that says what was expected, what was found and what to do. The
    commands print that sentence without a traceback and exit with status 1. They also explain known
    errors of other packages (see `commands.refusals`); any other exception keeps its traceback. It
    takes one string, so that it can be pickled and raised again outside a worker process.

    Example:
        >>> raise InputError("Expected 14 joints, found 13; check joints.mat.")
        Traceback (most recent call last):
        ...
        lightning_pose.errors.InputError: Expected 14 joints, found 13; check joints.mat.
    """


class ConfigError(InputError):
    """A setting, an option or a config file cannot be used."""


class DataError(InputError):
    """An annotation file, an image or a mask cannot be used."""


class MissingSplitError(ConfigError):
    """The data have no such split."""


class LeakError(DataError):
    """Two splits share people or images."""


class CheckpointError(InputError):
    """A checkpoint cannot be read or written, is not trusted, or does not fit the model."""


class DivergedError(InputError):
    """A loss or a prediction is NaN or infinite."""


class InfiniteLossError(DivergedError):
    """The loss over all processes is NaN or infinite, which each of them raises."""


def printable(text: str) -> str:
    r"""Escape what a terminal would not show as text.

    File names, names of heads and class paths may come from strangers: a newline would forge a line
    of output, and an escape sequence could rewrite the screen.

    Args:
        text: What is to be printed on one line.

    Returns:
        The text, with other characters as Python's escapes.

    Example:
        >>> print(printable("cat\n\x1b[2J.jpg"))
        cat\n\x1b[2J.jpg
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
