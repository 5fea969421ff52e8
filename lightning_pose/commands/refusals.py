"""Errors of other packages, each explained in one sentence; any other error keeps its traceback.

This is the only place that handles other packages' errors. It recognises them by the names of their
types, so that it need not import the packages.
"""

import errno
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning_pose.errors import InputError

__all__ = ["explain", "explain_setting", "explain_untrusted"]

_NAMED_CLASS = "Problem with given class_path"
_ALTERNATIVES = ("Errors:", "Expected a <class 'NoneType'>")
"""Lines of jsonargparse's reports: where a class takes no such argument, and what tells nothing."""

_LONGEST = 300
"""The longest reason of another package that is shown, in characters."""

_MEMORY = (
    "use less with a lower data.batch_size, and raise trainer.accumulate_grad_batches by the same "
    "factor to train as before, or with a smaller data.input_spec"
)

_SHARED = (
    "Expected room for batches in the shared memory (/dev/shm), through which data workers pass "
    "them, found it full; enlarge it (docker run --shm-size=1g), or use --data.num_workers 0."
)

_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""What gloo and NCCL report where another process of a training has ended."""

_NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""What torch reports where there is too little memory on a CPU."""

_MEMORY_ERROR = re.compile(r"^[\w.]*MemoryError(?:: |$)")
"""Before what Python and NumPy report, at the end of a data worker's traceback."""

_FILE_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}
"""A full disk, a folder without permission, a name that is too long."""


def explain(error: BaseException, command: str) -> str | None:
    """Explain in one sentence what the user can do about an error.

    Args:
        error: The exception that stopped a command.
        command: The command, such as "fit".

    Returns:
        The sentence, or None if the error is a bug and its traceback should be shown.

    Example:
        >>> explain(InputError("Expected 14 joints, found 13; check joints.mat."), "fit")
        'Expected 14 joints, found 13; check joints.mat.'
        >>> explain(OSError(errno.ENOSPC, "No space left on device"), "fit")
        'Expected to read and write files, found: No space left on device; free disk space, or
        correct the path or its permissions.'
        >>> explain(ZeroDivisionError(), "fit") is None
        True
    """
    if (ours := _ours(error)) is not None:
        return ours
    if isinstance(error, OSError):
        return _file(error)
    for kind in type(error).__mro__:
        known = _KNOWN.get((kind.__module__.split(".")[0], kind.__name__))
        if known is not None:
            return known(error, command)
    return None


def explain_setting(error: Exception) -> str:
    """Explain in one sentence that a class rejects its settings.

    Args:
        error: The exception that a constructor raised while objects were built from a config.

    Returns:
        The sentence.
    """
    return _ours(error) or _setting(error, "")


def explain_untrusted(error: Exception, path: Path, trusted: Sequence[str], options: str) -> str:
    """Explain in one sentence that a file names classes of packages that are not trusted.

    Args:
        error: The exception that jsonargparse raised.
        path: The file.
        trusted: The packages whose classes it may name.
        options: The command-line options that allow more packages.

    Returns:
        The sentence.
    """
    return (
        f"Expected settings in {path} that name only classes of {', '.join(trusted)}, found: "
        f"{_reason(error)}; only if you trust that code, name it with {options}."
    )


def _ours(error: BaseException | None) -> str | None:
    """The message of our own error, even if another package raised its own error from it."""
    while error is not None:
        if isinstance(error, InputError):
            # From a worker process it arrives as text, after that process's traceback.
            sentence = re.split(rf"{re.escape(InputError.__module__)}\.\w+: ", str(error))[-1]
            return " ".join(sentence.split())
        error = error.__cause__
    return None


def _words(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]


def _reason(error: BaseException) -> str:
    """The innermost lines of jsonargparse's report, an indented tree, and the lines above them.

    If the report has a branch for the class that was named, the other ways in which the value could
    have been meant are left out.
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    indents = [len(line) - len(line.lstrip(" -")) for line in lines]
    named = [n for n, line in enumerate(lines) if _NAMED_CLASS in line]
    if named:
        last = named[-1]
        inside = (n for n in range(last + 1, len(lines)) if indents[n] <= indents[last])
        lines, indents = lines[: (end := next(inside, len(lines)))], indents[:end]
    kept: list[str] = []
    level = 0
    for line, indent in zip(reversed(lines), reversed(indents), strict=True):
        if indent == max(indents) or indent < level:
            kept.insert(0, line.strip())
            level = indent
    kept = [line for line in kept if line.lstrip("- ") not in _ALTERNATIVES] or kept
    # Items of a list are separated, except from the line that introduces them.
    words = _words(" ".join(kept)).replace(": - ", ": ").replace(" - ", "; ").removeprefix("- ")
    words = re.sub(r"(?:an? )?<class '([\w.]+)'>", r"\1", words)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST].rsplit(' ', 1)[0]} ..."


def _file(error: OSError) -> str | None:
    if error.errno not in _FILE_ERRORS:
        return None
    found = f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return (
        f"Expected to read and write files, found: {found}; free disk space, or correct the path "
        "or its permissions."
    )


def _runtime(error: BaseException, command: str) -> str | None:
    """Failures for which torch has no class of its own, also out of a worker process."""
    text = str(error)
    # A worker that writes to a full shared memory may also be killed.
    if "unable to allocate shared memory" in text or "killed by signal: Bus error" in text:
        return _SHARED
    if text.startswith("DataLoader worker"):
        return (
            "Expected all data workers to run, found that one was killed, usually for lack of "
            "memory; use fewer data.num_workers or close other programs."
        )
    if _NO_MEMORY in text:
        # Out of a worker, it comes after a traceback.
        found = text[text.index(_NO_MEMORY) :].splitlines()[0]
        return f"Expected enough memory, found: {_words(found)}; {_MEMORY}."
    # torch cannot build NumPy's error again.
    if _MEMORY_ERROR.match(_last_line(text)):
        return _memory(error, command)
    if any(words in text for words in _LOST):
        return (
            "Expected all processes to run to the end, found that another one has ended; it says "
            "why, unless it was killed, usually for lack of memory."
        )
    return None


def _memory(error: BaseException, _command: str) -> str:
    # NumPy says how much it asked for, and Python says nothing.
    found = _words(_MEMORY_ERROR.sub("", _last_line(str(error)))) or "none left"
    return f"Expected enough memory, found: {found}; {_MEMORY}."


def _gpu_memory(error: BaseException, _command: str) -> str:
    # The rest is about the allocator's settings.
    found = _words(". ".join(str(error).split(". ")[:2]))
    return f"Expected enough memory on the GPU, found: {found}; {_MEMORY}."


def _arguments(error: BaseException, command: str) -> str:
    return (
        f"Expected a command line and configs that fit together, found: {_reason(error)}; see "
        f"`lightning {command} --help` for the keys."
    )


def _setting(error: BaseException, _command: str) -> str:
    found = _reason(error)
    return f"Expected settings that their classes accept, found: {found}; correct the config."


def _wandb(error: BaseException, _command: str) -> str:
    return (
        f"Expected W&B to start a run, found: {_words(str(error))}; log in with `wandb login`, or "
        "add --trainer.logger.init_args.mode offline."
    )


_KNOWN: dict[tuple[str, str], Callable[[BaseException, str], str | None]] = {
    # From jsonargparse; its message says in prose which key is wrong and why.
    ("argparse", "ArgumentError"): _arguments,
    ("builtins", "MemoryError"): _memory,
    ("builtins", "RuntimeError"): _runtime,
    ("lightning_fabric", "MisconfigurationException"): _setting,
    ("torch", "OutOfMemoryError"): _gpu_memory,
    ("wandb", "Error"): _wandb,
}
"""How to explain an error, by the top-level package and name of its type or of a base class."""
