"""Which run continues that was stopped, and from which checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_pose import checkpoint
from lightning_pose.commands.configs import read_config
from lightning_pose.errors import CheckpointError
from lightning_pose.runs import DAMAGED, Run

__all__ = ["find_stopped"]


def find_stopped(
    root: str | Path,
    experiment: str,
    config: Mapping[str, Any],
    name: str | None,
    allow: Sequence[str],
) -> tuple[Run | None, str | None]:
    """Find the newest run that was stopped before its end, and its newest whole checkpoint.

    If the run of a given name was killed before its first checkpoint, its folder is renamed: the
    run that begins in its place has that name.

    Args:
        root: The folder of all experiments.
        experiment: The name of the experiment.
        config: The config of the run to find, as in its config.yaml; the number of threads, and how
            often the run is saved, may be others.
        name: The run's name, if it has one.
        allow: Packages to trust in addition to `parts.TRUSTED`.

    Returns:
        The run and the path of the checkpoint; twice None if there is no such run.

    Raises:
        CheckpointError: None of its checkpoints can be read.
        ConfigError: Another process is training it.
    """

    def is_same(path: Path) -> bool:
        # A study with other --jobs, or on another machine, goes on with other threads. They change
        # the speed, and results only by the rounding of sums, as another machine does.
        free = dict.fromkeys(("threads", "save_every_n_steps", "save_every_n_minutes"))
        return {**read_config(path), **free} == {**config, **free}

    run = Run.find_unfinished(root, experiment, is_same, name)
    if run is not None:
        return run, _newest_checkpoint(run, allow)
    if name is not None:
        Run(Path(root, experiment, name)).set_aside(is_same)
    return None, None


def _newest_checkpoint(run: Run, allow: Sequence[str]) -> str:
    """The path of last.ckpt; if it is damaged, it is renamed, and the one before it is taken."""
    newest, *others = run.checkpoints
    try:
        content = checkpoint.read(newest, allow)
    except CheckpointError as error:
        # A file that cannot be read now may be whole.
        if not others or isinstance(error.__cause__, OSError):
            raise
        (newest,) = others
        content = checkpoint.read(newest, allow)
        run.set_damaged_aside()
        rank_zero_warn(
            f"{error} The run continues from {newest} instead, and the file is renamed to "
            f"{DAMAGED}."
        )
    rank_zero_info(f"The run {run.folder} continues after step {content['global_step']}.")
    return str(newest)
