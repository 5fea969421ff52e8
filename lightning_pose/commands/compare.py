"""`lightning compare`: runs side by side, and which differences are real."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.errors import ConfigError, printable

if TYPE_CHECKING:
    from lightning_pose.report.comparison import Comparison

__all__ = ["main"]

_DESCRIPTION = """\
Compare runs that have ended: those of a study, or any run folders. Runs that differ in nothing but
the seed are an arm. Every other arm is compared with the baseline, and each difference is called
real, noise or not decided, with seeds and people as sources of chance.

The result is printed, and written as one page with charts that works offline.
"""


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning compare`.

    Args:
        command: "compare".
        argv: The arguments after it.

    Returns:
        The exit status, 0.

    Raises:
        InputError: No runs can be compared, they were scored on different people, or the page
            cannot be written.
    """
    options = _parser(command).parse_args(argv)
    if bool(options.runs) == (options.study is not None):
        raise ConfigError(
            f"Expected run folders or --study, found {'both' if options.runs else 'neither'}; give "
            "one of them."
        )
    if not 0 < options.margin < 1:
        raise ConfigError(
            f"Expected --margin above 0 and below 1, found {options.margin}; 0.01 is usual."
        )
    # Imported here, so that --help and wrong arguments are answered at once.
    from lightning_pose.commands.finished_runs import differing_options, read_runs, read_study
    from lightning_pose.commands.page_file import check_page, write_page
    from lightning_pose.report.compare import MARK, page
    from lightning_pose.report.comparison import compare

    check_page(options.output, MARK, command)
    if options.study is not None:
        arms = read_study(options.study, options.allow)
        title = f"Study {options.study.resolve().name}"
    else:
        arms = read_runs(options.runs, options.allow)
        title = "Comparison of runs"
    comparison = compare(arms, options.baseline, options.metric, options.margin)
    write_page(options.output, page(comparison, differing_options(arms), title))
    _print(comparison)
    print(f"Page to look at: {printable(str(options.output))}")
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    usage = f"lightning {command} (RUN ... | --study FOLDER) [options]"
    parser = make_parser(command, _DESCRIPTION, usage)
    add = parser.add_argument
    add("runs", nargs="*", type=Path, metavar="RUN", help="the folder of a run")
    add(
        "--study", type=Path, metavar="FOLDER",
        help="the folder of a study, such as checkpoints/loss_weights",
    )  # fmt: skip
    add(
        "--output", type=Path, default=Path("compare.html"), metavar="FILE",
        help="the page (default: compare.html); an older page of this command is replaced",
    )  # fmt: skip
    add("--baseline", metavar="ARM", help="the arm to compare with (default: the first)")
    add(
        "--metric", action="append", default=[], metavar="HEAD/METRIC",
        help="a metric to decide on; repeat for more (default: the first of each head, or else its "
        "loss)",
    )  # fmt: skip
    add(
        "--margin", type=float, default=0.01, metavar="M",
        help="differences up to this do not matter (default: 0.01; of what does not go from 0 to "
        "1, this share of the baseline's mean)",
    )  # fmt: skip
    add(
        "--allow", action="append", default=[], metavar="PACKAGE",
        help="a package of your own that checkpoints may import; repeat for more",
    )  # fmt: skip
    return parser


def _print(comparison: "Comparison") -> None:
    """Print the table and the sentences for a terminal of any width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lightning_pose.report.comparison import sentence
    from lightning_pose.report.overview import overview, verdict

    # A file has no width, and a table that is cut to 80 columns cannot be read.
    console = Console(width=None if sys.stdout.isatty() else 400)
    heads, rows = overview(comparison)
    table = Table(box=box.SIMPLE_HEAD)
    for place, head in enumerate(heads):
        table.add_column(Text(printable(head)), justify="right" if place else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    for one in comparison.found:
        real = one.difference is not None and one.difference.verdict == "real"
        text = printable(sentence(one, comparison.baseline))
        console.print(Text(text, style="bold" if real else ""), soft_wrap=True)
    for arm in comparison.arms:
        for failure in arm.failures:
            line = f"Left out of {printable(arm.name)}: {printable(failure)}"
            console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print(Text(verdict(comparison), style="bold"))
