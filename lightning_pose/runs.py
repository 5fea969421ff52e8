"""Run folders and config files: where a run is written, and how a config's name becomes a path."""

import contextlib
import difflib
import os
import time
from pathlib import Path

from lightning_pose.errors import InputError

__all__ = [
    "begin_run",
    "claim_run",
    "config_of",
    "discard_run",
    "find_config",
    "release_run",
]

_HERE = Path(__file__).parent
# An installed package carries the configs; in the repository they lie beside it.
SHIPPED_CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"

_RUN_VARIABLE = "LIGHTNING_POSE_RUN"

_unbegun: Path | None = None
"""The folder that this process has claimed and in which no training step was made yet."""


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
    )
    here = [path.name for path in Path().glob("*.yaml")]
    near = difflib.get_close_matches(name, [*here, *known], n=3, cutoff=0.4) or known
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
    parts = Path(experiment).parts
    if not parts or ".." in parts or Path(experiment).is_absolute():
        raise InputError(
            f"Expected --experiment as a folder below that of all experiments, found "
            f"{experiment!r}; set --trainer.default_root_dir to write elsewhere."
        )
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise InputError(
            f"Expected --run as the name of one folder, found {name!r}; choose another, and set "
            "--trainer.default_root_dir to write elsewhere."
        )
    parent = Path(root) / experiment
    stem = name or time.strftime("%Y-%m-%d_%H-%M-%S")
    run = parent / stem
    # Where Lightning looks for a process's number, before it has started any itself.
    launched = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    if next((os.environ[key] for key in launched if key in os.environ), "0") != "0":
        return run
    global _unbegun
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
            _unbegun = run.resolve()
            return run


def begin_run() -> None:
    """Say that training has begun: from now on nothing removes the run's folder."""
    global _unbegun
    _unbegun = None


def discard_run() -> None:
    """Remove the folder that this process claimed for a run that failed before its first step.

    Its name is free again for the next attempt. A folder with anything in it but what the start of
    a run writes stays as it is.
    """
    global _unbegun
    run, _unbegun = _unbegun, None
    if run is None or not run.is_dir():
        return
    files = list(run.iterdir())
    own = ("config.yaml", "hparams.yaml")
    if all(path.name in own or path.name.startswith("events.out.tfevents.") for path in files):
        # What cannot be removed, on a network drive for instance, stays too.
        with contextlib.suppress(OSError):
            for path in files:
                path.unlink()
            run.rmdir()


def release_run() -> None:
    """Forget the folder of the run that has ended, so that this process can start another."""
    os.environ.pop(_RUN_VARIABLE, None)
    begin_run()
