"""The parser of a command whose options are not constructor parameters."""

import argparse

__all__ = ["make_parser"]


def make_parser(
    command: str, description: str, usage: str | None = None
) -> argparse.ArgumentParser:
    """Make a parser that keeps the line breaks of the description and refuses abbreviations.

    Args:
        command: The command, such as "predict".
        description: What it does, as shown by `--help`.
        usage: The usage line; by default argparse derives it from the options.

    Returns:
        The parser, with no option but `--help`.

    Example:
        >>> make_parser("predict", "Find people.").prog
        'lightning predict'
    """
    return argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=usage,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
