"""Run folders and config files: where a run is written, and how a config's name becomes a path."""

import difflib
import os
import time
from pathlib import Path

from lightning_pose.errors import InputError

__all__ = ["claim_run", "config_of", "find_config", "release_run"]

_HERE = Path(__file__).parent
# An installed package carries the configs; in the repository they lie beside it.
SHIPPED_CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"

_RUN_VARIABLE = "LIGHTNING_POSE_RUN"

_BEGUN = ("config.yaml", "hparams.yaml", "events.out.tfevents.")
"""What is in a run's folder before the first step; nothing of it is lost with the folder."""


def find_config(name: str) -> Path:
    """Look a config up in the current folder, in ./configs, and among those that we ship.

    Args:
        name: A path or a name such as "combined.yaml" or "data/lspet.yaml".

    Returns:
        The file.

    Raises:
        InputError: There is no such file; the message lists names that are near.
    """
    places = [Path(), Path("configs"), SHIPPED_CONFIGS]
    for place in places:
        if (place / name).is_file():
            return place / name
    known = sorted(
        {
            path.relative_to(place).as_posix()
            for place in places[1:]
            for path in place.rglob("*.yaml")
        }
        | {path.name for path in Path().glob("*.yaml")}
    )
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    raise InputError(
        f"Expected a config file, found no {name!r} in ., ./configs or among the shipped ones; "
        f"did you mean {', '.join(near)}?"
    )


def config_of(checkpoint: str | Path) -> Path:
    """Find the config that a run's checkpoint was trained with.

    Args:
        checkpoint: A checkpoint inside a run's folder.

    Returns:
        The config.yaml beside it.

    Raises:
        InputError: There is none.
    """
    path = Path(checkpoint).parent / "config.yaml"
    if not path.is_file():
        raise InputError(
            f"Expected config.yaml beside {checkpoint}, found none; name the config with --config."
        )
    return path


def claim_run(root: str | Path, experiment: str, name: str | None = None) -> Path:
    """Make the folder of a new run; two runs never get the same one.

    Of a run in several processes only the first makes it. The others get the same folder where
    Lightning has started them; where torchrun or Slurm has, they get a path at which they write
    nothing.

    Args:
        root: The folder of all experiments.
        experiment: What is trained, usually the name of the config.
        name: The run's name; by default the time at which it starts.

    Returns:
        root/experiment/name, which did not exist before.

    Raises:
        InputError: A run of that name exists, or a name is none of a single folder.
    """
    if "LOCAL_RANK" in os.environ and _RUN_VARIABLE in os.environ:
        return Path(os.environ[_RUN_VARIABLE])
    for word, value in (("experiment", experiment), ("run", name)):
        if value is not None and (value in ("", ".", "..") or Path(value).name != value):
            raise InputError(
                f"Expected --{word} as the name of one folder, found {value!r}; choose another, "
                "and set --trainer.default_root_dir to write elsewhere."
            )
    parent = Path(root) / experiment
    stem = name or time.strftime("%Y-%m-%d_%H-%M-%S")
    run = parent / stem
    # Where Lightning looks for a process's number, before it has started any itself.
    launched = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    if next((os.environ[key] for key in launched if key in os.environ), "0") != "0":
        return run
    attempt = 1
    while True:
        try:
            # Making the folder is what claims the name, also against a run that starts right now.
            run.mkdir(parents=True)
        except FileExistsError as error:
            if name is not None:
                raise InputError(
                    f"Expected a new run, found {run} already there; choose another --run name, "
                    "because no run overwrites another."
                ) from error
            attempt += 1
            run = parent / f"{stem}_{attempt}"
        except OSError as error:
            raise InputError(
                f"Expected to make the run's folder {run}, found that it cannot be made "
                f"({error.strerror}); choose another --trainer.default_root_dir."
            ) from error
        else:
            os.environ[_RUN_VARIABLE] = str(run.resolve())
            return run


def release_run(failed: bool = False) -> None:
    """Forget the folder of the run that has ended, so that this process can start another.

    Args:
        failed: The run ended by an error. Where that was before its first figure, its folder is
            removed, so that its name is free for the next attempt.
    """
    claimed = os.environ.pop(_RUN_VARIABLE, None)
    if claimed is None or not failed or os.environ.get("LOCAL_RANK", "0") != "0":
        return
    run = Path(claimed)
    files = list(run.iterdir())
    if all(path.name.startswith(_BEGUN) and path.is_file() for path in files):
        for path in files:
            path.unlink()
        run.rmdir()
