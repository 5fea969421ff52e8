"""The `lightning` command: it answers what needs no Lightning itself, and hands on the rest."""

import errno
import sys
from collections.abc import Sequence

from lightning_pose import __version__
from lightning_pose.errors import InputError

__all__ = ["main"]

# A full disk, a folder without permission, a name that is too long.
_FILE_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}

_HELP = """\
usage: lightning COMMAND [OPTIONS]

Train one network for a person's joints and mask, and use it.

commands:
  fit        train a model:         lightning fit --config combined.yaml
  validate   score a checkpoint:    lightning validate --ckpt_path RUN/best.ckpt
  test       score the test people: lightning test --ckpt_path RUN/best.ckpt
  predict    joints and masks of your own pictures:
             lightning predict --ckpt_path RUN/best.ckpt --images FOLDER --output FOLDER

options:
  -h, --help     this text; `lightning COMMAND --help` explains a command
  --version      the version of lightning_pose

A config is looked up in ., ./configs and among the shipped ones; several --config stack, and
--KEY VALUE on the command line comes last, as in --model.weighting.weights.mask 0.5.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words behind `lightning`; by default those of this process.

    Returns:
        The exit status: 0 when it went well, 1 when the input could not be used, 2 when there is no
        such command, 130 when it was interrupted. What parses the rest of the line, or a training
        that is interrupted, exits itself, with 2 and 1.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_HELP, end="")
        return 0
    if words[0] == "--version":
        print(f"lightning_pose {__version__}")
        return 0
    command, rest = words[0], words[1:]
    try:
        # Imports wait until a command needs them: Lightning's command line takes seconds to import.
        if command == "predict":
            from lightning_pose.commands import predict

            return predict.main(rest)
        if command in ("fit", "validate", "test"):
            from lightning_pose.commands import training

            training.main(command, rest)
            return 0
    except InputError as error:
        print(f"lightning {command}: {_sentence(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _FILE_ERRORS:
            raise
        found = f"{error.strerror} ({error.filename})" if error.filename else error.strerror
        print(
            f"lightning {command}: Expected to read and write files, found: {found}; make room, or "
            "correct the path or its permissions.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"lightning {command}: interrupted.", file=sys.stderr)
        return 130
    print(
        f"lightning: expected one of fit, validate, test and predict, found {command!r}; "
        "see lightning --help.",
        file=sys.stderr,
    )
    return 2


def _sentence(error: InputError) -> str:
    # From a worker process it arrives behind that process's traceback, in words; and what it quotes
    # may have line breaks of its own.
    sentence = str(error).split(f"{InputError.__module__}.{InputError.__qualname__}: ")[-1]
    return " ".join(sentence.split())
