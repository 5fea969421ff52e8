"""The options that `lightning fit` has beside those of the model, the data and the trainer."""

from jsonargparse.typing import PositiveFloat, PositiveInt
from pytorch_lightning.cli import LightningArgumentParser

__all__ = ["add_fit_options"]


def add_fit_options(parser: LightningArgumentParser) -> None:
    """Add the names of a run, its initial weights, and how often it is saved.

    Args:
        parser: The parser of `fit`.
    """
    parser.add_argument(
        "--experiment",
        type=str | None,
        help="Name of the experiment, whose folder holds its runs; default: the config's name.",
    )
    parser.add_argument(
        "--run",
        type=str | None,
        help="Name of the run; by default its start time.",
    )
    parser.add_argument(
        "--init_from",
        type=str | None,
        help="Checkpoint to take weights from: backbone, and heads of the same name and class.",
    )
    parser.add_argument(
        "--save_every_n_steps",
        type=PositiveInt | None,
        help="Also write last.ckpt every so many optimiser steps; it is always written after a "
        "validation.",
    )
    parser.add_argument(
        "--save_every_n_minutes",
        type=PositiveFloat,
        default=10.0,
        help="Also write last.ckpt every so many minutes.",
    )
