"""`lightning split`: lists of the images of each split, with near-duplicates in one split only."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_pose.commands.configs import split_configs
from lightning_pose.commands.option_parser import make_parser
from lightning_pose.commands.output_folder import check_output_folder
from lightning_pose.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int64

    from lightning_pose.datamodules import PoseDataModule
    from lightning_pose.datasets import PoseDataset

__all__ = ["main"]

_DESCRIPTION = """\
Write lists of the images for training, validation and test. Images of one photograph at another
scale, in another quality, or mirrored are near-duplicates, and no two lists share any.

Without --fractions, the splits are those of the config, but an image with a near-duplicate in a
later split is left out: training loses those of validation and test, validation those of test.
With --fractions, all people are divided anew, and near-duplicates stay together.

All other options are settings of the data, such as --data.root FOLDER; `lightning fit --data.help
CLASS` lists those of a class.

The output folder gets
  train.txt, val.txt, test.txt  names of images, one per line, as --data.splits FOLDER reads them;
                                for a mix of datasets, in a folder for each set
  duplicates.csv                the images with near-duplicates: the name, the group (the name of
                                its first image), and the split, empty where it is left out
  duplicates.jpg                some of these groups to look at, one per row
"""


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning split`.

    Args:
        command: "split".
        argv: The arguments after it.

    Returns:
        The exit status, 0.

    Raises:
        InputError: A config, a dataset or the folder cannot be used.
    """
    configs, words = split_configs(argv)
    options, words = _parser(command).parse_known_args(words)
    check_output_folder(options.output)
    if options.seed < 0:
        raise ConfigError(f"Expected --seed of 0 or more, found {options.seed}; correct it.")
    # Imported here, so that --help and wrong arguments are answered at once.
    import numpy as np

    from lightning_pose.commands.data_module import data_module
    from lightning_pose.commands.split_folder import summary, write_split_folder
    from lightning_pose.datamodules.splits import check_fractions, draw_splits, drop_leaks
    from lightning_pose.datasets.duplicates import duplicate_groups, hash_images

    if options.fractions:
        check_fractions(options.fractions)
    data = data_module(configs, words)
    data.prepare_data()
    people = data.everyone()
    names, image = np.unique(people.image_ids, return_inverse=True)
    before = None if options.fractions else _splits_of_config(data, names)
    groups = duplicate_groups(hash_images(people, progress=True))
    if before is None:
        _, unit = np.unique(groups, return_inverse=True)
        counts = np.bincount(unit[image])
        parts = draw_splits(counts, options.fractions, options.seed)[unit]
    else:
        parts = drop_leaks(before, groups)
    write_split_folder(options.output, people, parts, groups, data.set_names)
    print(summary(options.output, people, parts, groups))
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    parser = make_parser(command, _DESCRIPTION)
    add = parser.add_argument
    add("--config", metavar="FILE", help="a config with data; repeat to stack several")
    add("--output", required=True, type=Path, metavar="FOLDER", help="a new or empty folder")
    add(
        "--fractions", nargs=3, type=float, metavar=("TRAIN", "VAL", "TEST"),
        help="divide all people anew, for example 0.8 0.1 0.1",
    )  # fmt: skip
    add("--seed", type=int, default=0, help="seed of the order that fractions cut (default: 0)")
    return parser


def _splits_of_config(data: "PoseDataModule", names: "np.ndarray") -> "Int64[np.ndarray, ' I']":
    """The split of each image by the config, as its place in `SPLITS`; -1 if it is in none."""
    import numpy as np

    from lightning_pose.datamodules.splits import SPLITS
    from lightning_pose.datasets.checks import check_disjoint
    from lightning_pose.errors import MissingSplitError

    parts = np.full(len(names), -1)
    opened: dict[str, PoseDataset] = {}
    for part, split in enumerate(SPLITS):
        try:
            chosen = data.make_dataset(split)
        except MissingSplitError:
            if split != "test":
                raise
            continue  # Training needs no test split.
        for other, others in opened.items():
            check_disjoint(chosen, others, split, other)
        opened[split] = chosen
        parts[np.isin(names, chosen.image_ids)] = part
    return parts
