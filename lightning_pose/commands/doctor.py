"""`lightning doctor`: examine data before training on them."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.errors import ConfigError, printable

if TYPE_CHECKING:
    from lightning_pose.diagnosis import Examination

__all__ = ["main"]

_DESCRIPTION = """\
Examine the data that configs describe before training on them: counts, image sizes, labelled and
occluded joints, joints outside the image or off the mask, exchanged left and right, flip pairs,
the first pixel, sizes of head and torso, unreadable files, and photographs in two splits.

The report is printed, and written as one page with pictures that works offline. The exit status is
1 if training on these data would be wrong.
"""


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning doctor`.

    Args:
        command: "doctor".
        argv: The arguments after it.

    Returns:
        The exit status: 0, or 1 if training on the data would be wrong.

    Raises:
        InputError: The data cannot be opened, or the page cannot be written.
    """
    options, others = _parser(command).parse_known_args(argv)
    if options.images < 1:
        raise ConfigError(f"Expected --images of 1 or more, found {options.images}; raise it.")
    # Imported here, so that --help and wrong arguments are answered at once.
    from rich.console import Console
    from rich.progress import Progress

    from lightning_pose.commands.configs import split_configs
    from lightning_pose.commands.data_module import data_module
    from lightning_pose.commands.page_file import check_page, write_page
    from lightning_pose.diagnosis import examine
    from lightning_pose.report.doctor import MARK, page

    check_page(options.output, MARK, command)
    configs, words = split_configs([f"--config={name}" for name in options.config] + others)
    data = data_module(configs, words)
    data.prepare_data()
    console = Console(stderr=True)

    def track(items: Sequence[int], description: str) -> Iterable[int]:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            yield from progress.track(items, description=description)

    examination = examine(data, options.images, options.duplicates == "true", track, progress=True)
    title = ", ".join(path.stem for path in configs) or type(data).__name__
    _print(examination)
    write_page(options.output, page(examination, title))
    print(f"Report to look at: {printable(str(options.output))}")
    return 0 if examination.passed else 1


def _parser(command: str) -> argparse.ArgumentParser:
    usage = f"lightning {command} --config CONFIG [--data.KEY VALUE ...] [options]"
    parser = make_parser(command, _DESCRIPTION, usage)
    add = parser.add_argument
    add(
        "-c", "--config", action="append", default=[], metavar="CONFIG",
        help="a config with the key data; repeat for more, of which a later one overrides others",
    )  # fmt: skip
    add(
        "--output", type=Path, default=Path("doctor.html"), metavar="FILE",
        help="the page (default: doctor.html); an older page of this command is replaced",
    )  # fmt: skip
    add(
        "--images", type=int, default=500, metavar="N",
        help="for how many people of each split pixels and masks are read (default: 500)",
    )  # fmt: skip
    add(
        "--duplicates", choices=["true", "false"], default="true",
        help="search photographs in two splits, for which all images are read (default: true)",
    )  # fmt: skip
    return parser


def _print(examination: "Examination") -> None:
    """Print the table and the findings for a terminal of any width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lightning_pose.report.doctor import overview, verdict

    # A file has no width, and a table that is cut to 80 columns cannot be read.
    console = Console(width=None if sys.stdout.isatty() else 120)
    heads, rows = overview(examination)
    table = Table(box=box.SIMPLE_HEAD)
    for head in heads:
        table.add_column(head, justify="right" if head else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    colours = {"wrong": "bold red", "suspicious": "yellow", "unknown": "dim"}
    for finding in examination.findings:
        line = Text(f"{finding.severity:<10}  ", style=colours[finding.severity])
        line.append(f"{printable(finding.name)}: {finding.title}. ", style="bold")
        line.append(printable(finding.sentence), style="default")
        console.print(line)
    console.print(Text(verdict(examination), style="bold"))
