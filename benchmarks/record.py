"""Runs a benchmark and keeps what it prints, with the machine, the versions and the commit.

    python benchmarks/record.py overhead.py [OPTIONS OF THE BENCHMARK]

Adds a section to results/overhead.md beside this file, and prints what the benchmark prints.
Neither the name of the machine nor the folders of absolute paths are kept. Run it where nothing
else runs.
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BENCHMARKS = Path(__file__).parent
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""What decides how fast a processor multiplies matrices, by Linux's names."""


def machine() -> str:
    """The processor, its cores and the memory, on one line."""
    about = Path("/proc/cpuinfo")
    text = about.read_text() if about.is_file() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = set(text.split())
    name = model[1] if model else platform.processor() or platform.machine()
    has = ", ".join(feature for feature in FEATURES if feature in flags)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}{f' ({has})' if has else ''}, {os.cpu_count()} cores, {memory:.0f} GiB of memory"


def versions() -> str:
    """The versions of Python and of what computes, on one line."""
    found = [f"Python {platform.python_version()}"]
    for name in ("torch", "pytorch-lightning", "timm", "numpy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def commit() -> str:
    """The commit, and whether something was changed after it."""

    def git(*words: str) -> str:
        done = subprocess.run(  # noqa: S603  # Fixed words.
            ["git", "-C", str(BENCHMARKS), *words],  # noqa: S607  # From PATH, as a user types it.
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    # Earlier records of today do not change what is measured.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (", changed" if changed else "")


def without_folders(text: str) -> str:
    """Reduce each absolute path to its last name.

    Example:
        >>> without_folders("--root=/data/lspet and/or /home/me/run/: 1/2")
        '--root=lspet and/or run: 1/2'
    """
    return re.sub(r"(?<![\w./])/(?:[\w.~-]+/)*([\w.~-]+)/?", r"\1", text)


def section(command: Sequence[str], printed: str, load: float) -> str:
    """The record of one run as Markdown.

    Args:
        command: The benchmark and its options.
        printed: What it printed.
        load: The load of the machine before it started.
    """
    return without_folders(
        f"## {datetime.now(UTC):%Y-%m-%d}, commit {commit()}\n\n"
        f"- {machine()}\n- {versions()}\n- load before the start: {load:.1f}\n\n"
        f"```\n$ python benchmarks/{shlex.join(command)}\n{printed.rstrip()}\n```\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("benchmark", help="the name of a file in this folder")
    options, words = parser.parse_known_args()
    path = BENCHMARKS / options.benchmark
    if not path.is_file():
        known = ", ".join(sorted(one.name for one in BENCHMARKS.glob("*.py")))
        parser.error(f"Expected a benchmark, found {options.benchmark}; choose one of {known}.")
    load = os.getloadavg()[0]
    command = [sys.executable, str(path), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:  # noqa: S603  # Ours.
        assert run.stdout is not None, "asked for above"
        lines = []
        for line in run.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if run.returncode:
        return run.returncode
    results = BENCHMARKS / "results" / f"{path.stem}.md"
    results.parent.mkdir(exist_ok=True)
    title = "" if results.is_file() else f"# benchmarks/{path.name}\n"
    with results.open("a", encoding="utf-8") as file:
        file.write(f"{title}\n{section([path.name, *words], ''.join(lines), load)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
