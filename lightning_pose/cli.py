"""The `lightning` command: a table of commands, dispatched before Lightning is imported."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from lightning_pose import __version__
from lightning_pose.errors import printable

__all__ = ["COMMANDS", "Command", "main"]


@dataclass(frozen=True)
class Command:
    """One row of the command table.

    Attributes:
        module: The module in `lightning_pose.commands` whose `main(command, argv)` runs the command
            and returns the exit status.
        help: What it does, in a few words.
        example: Example arguments.
    """

    module: str
    help: str
    example: str


COMMANDS = {
    "fit": Command("fit", "train a model", "--config combined.yaml"),
    "study": Command(
        "study",
        "train every arm of a study with every seed",
        "--study FILE --config combined.yaml",
    ),
    "compare": Command(
        "compare", "compare arms of a study, and say which differences are real", "--study FOLDER"
    ),
    "validate": Command(
        "evaluate", "score a checkpoint on the validation split", "--ckpt_path RUN/best.ckpt"
    ),
    "test": Command(
        "evaluate", "score a checkpoint on the test split", "--ckpt_path RUN/best.ckpt"
    ),
    "predict": Command(
        "predict",
        "find joints and masks in your own images",
        "--ckpt_path RUN/best.ckpt --images FOLDER --output FOLDER",
    ),
    "prepare": Command(
        "prepare",
        "label a folder of images by trained models, to train on",
        "--images FOLDER --output FOLDER",
    ),
    "split": Command(
        "split",
        "list the images of each split, without near-duplicates across splits",
        "--config data/lspet.yaml --data.root FOLDER --output FOLDER",
    ),
    "dashboard": Command(
        "dashboard",
        "build a workspace of Weights & Biases for the runs of a model",
        "--ckpt_path RUN/best.ckpt",
    ),
    "doctor": Command(
        "doctor",
        "examine data before training on them",
        "--config data/lspet.yaml --data.root FOLDER",
    ),
}
"""The commands by name."""

_HELP = """\
usage: lightning COMMAND [OPTIONS]

Train one network for a person's joints and mask, and run it.

commands:
{commands}
options:
  -h, --help     this text; `lightning COMMAND --help` explains a command
  --version      the version of lightning_pose

Configs are looked up in ., ./configs and among the shipped ones. A later --config overrides an
earlier one, and --KEY VALUE overrides both, as in --model.weighting.weights.mask 0.5.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments after `lightning`; by default those of this process.

    Returns:
        The exit status: 0 on success, 1 if the input cannot be used, 2 if there is no such command,
        130 after Ctrl-C, 143 if a training was sent SIGTERM. argparse exits by itself, with 2.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        rows = [
            f"  {name:<10} {row.help}\n{'':13}lightning {name} {row.example}\n"
            for name, row in COMMANDS.items()
        ]
        print(_HELP.format(commands="".join(rows)), end="")
        return 0
    if words[0] == "--version":
        print(f"lightning_pose {__version__}")
        return 0
    command, *rest = words
    if command not in COMMANDS:
        print(
            f"lightning: expected one of {', '.join(COMMANDS)}, found {command!r}; "
            "see lightning --help.",
            file=sys.stderr,
        )
        return 2
    try:
        # Imported here, because Lightning's command line takes seconds to import.
        module = import_module(f"lightning_pose.commands.{COMMANDS[command].module}")
        status: int = module.main(command, rest)
    except KeyboardInterrupt:
        print(f"lightning {command}: interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        from lightning_pose.commands.refusals import explain

        sentence = explain(error, command)
        if sentence is None:
            raise
        print(f"lightning {command}: {printable(sentence)}", file=sys.stderr)
        return 1
    return status
