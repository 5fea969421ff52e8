"""Run folders: where a training run writes, claimed so that no two runs share one."""

import contextlib
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_pose.errors import ConfigError

__all__ = ["DAMAGED", "LAST", "PREVIOUS", "RESULT", "Run"]

LAST, PREVIOUS, DAMAGED = "last.ckpt", "last.previous.ckpt", "last.damaged.ckpt"
"""The checkpoint from which a run resumes, the one before it, and one that cannot be read."""

RESULT = "result.json"
"""The file that marks a run that has ended."""

_VARIABLE = "LIGHTNING_POSE_RUN"
"""Tells the processes that Lightning starts for other devices which folder was claimed."""

_LAUNCHED = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Where Lightning looks for a process's rank before it has started any processes itself."""


class Run:
    """The folder of one run.

    Create one with `claim` for a new run or `find_unfinished` for an existing one. No other process
    on this machine can train in the folder of a run until it is released.

    Attributes:
        folder: The run's folder, as the user wrote it: perhaps relative.

    Example:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> run = Run.claim(root, "combined", "first")
        >>> run.folder.relative_to(root).as_posix()
        'combined/first'
        >>> run.discard()
        >>> run.folder.exists()
        False
        >>> run.release()
    """

    def __init__(self, folder: Path, *, claimed: bool = False) -> None:
        self.folder = folder
        # Absolute, so that a later change of the working directory does not affect it.
        self._claimed = folder.resolve() if claimed else None
        self._lock: FileLock | None = None

    @classmethod
    def claim(cls, root: str | Path, experiment: str, name: str | None = None) -> "Run":
        """Create the folder of a new run; two runs never get the same one.

        In a job of several processes, only the first creates the folder. The others get the same
        folder if Lightning started them. If torchrun or Slurm did, they get a path but write
        nothing there.

        Args:
            root: The folder of all experiments.
            experiment: The name of the experiment, usually that of the config.
            name: The run's name; by default its start time.

        Returns:
            The run in root/experiment/name, a folder that did not exist before.

        Raises:
            ConfigError: A run of that name exists, or a name is not a single folder name.
        """
        if "LOCAL_RANK" in os.environ and _VARIABLE in os.environ:
            return cls(Path(os.environ[_VARIABLE]))
        parts = Path(experiment).parts
        if not parts or ".." in parts or Path(experiment).is_absolute():
            raise ConfigError(
                f"Expected --experiment as a relative folder without '..', found {experiment!r}; "
                "set --trainer.default_root_dir to write elsewhere."
            )
        if name is not None and (name in ("", ".", "..") or Path(name).name != name):
            raise ConfigError(
                f"Expected --run as the name of one folder, found {name!r}; choose another, and "
                "set --trainer.default_root_dir to write elsewhere."
            )
        parent = Path(root) / experiment
        stem = name or time.strftime("%Y-%m-%d_%H-%M-%S")
        if not _is_first():
            return cls(parent / stem)
        folder = parent / stem
        attempt = 1
        while True:
            try:
                # Creating the folder claims the name, even against a run that starts at the same
                # moment.
                folder.mkdir(parents=True)
            except FileExistsError as error:
                if name is not None:
                    raise ConfigError(
                        f"Expected a new run, found {folder} already there; choose another --run "
                        "name, because no run overwrites another."
                    ) from error
                attempt += 1
                folder = parent / f"{stem}_{attempt}"
            except OSError as error:
                raise ConfigError(
                    f"Expected to create the run's folder {folder}, found that it cannot be "
                    f"created ({error.strerror}); choose another --trainer.default_root_dir."
                ) from error
            else:
                os.environ[_VARIABLE] = str(folder.resolve())
                run = cls(folder, claimed=True)
                run._take()
                return run

    @classmethod
    def find_unfinished(
        cls, root: str | Path, experiment: str, is_same: Callable[[Path], bool], name: str | None
    ) -> "Run | None":
        """Find the newest run that was stopped before its end, in every process of a job.

        Args:
            root: The folder of all experiments.
            experiment: The name of the experiment.
            is_same: Whether the config.yaml of a run is that of the run to find.
            name: The run's name, if it has one.

        Returns:
            The run, which has a checkpoint; None if there is none.

        Raises:
            ConfigError: Another process is training the run.
        """
        if "LOCAL_RANK" in os.environ and _VARIABLE in os.environ:
            run = cls(Path(os.environ[_VARIABLE]))
            return run if run.checkpoints else None
        parent = Path(root) / experiment
        configs = list(parent.glob("*/config.yaml" if name is None else f"{name}/config.yaml"))
        for config in sorted(configs, key=lambda path: path.stat().st_mtime, reverse=True):
            run = cls(config.parent)
            if not (run.folder / RESULT).exists() and run.checkpoints and is_same(config):
                if _is_first():
                    run._take()
                    os.environ[_VARIABLE] = str(run.folder.resolve())
                return run
        return None

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints from which it can resume, the newest first."""
        return [path for name in (LAST, PREVIOUS) if (path := self.folder / name).is_file()]

    def set_aside(self, is_same: Callable[[Path], bool]) -> None:
        """Rename the folder of a run that was killed before its first checkpoint.

        Its name is free then for the run that begins in its place. A run that has ended or has a
        checkpoint keeps its name, and so does one of another config.

        Args:
            is_same: Whether the config.yaml of a run is that of the run which begins.

        Raises:
            ConfigError: Another process is training the run.
        """
        folder, config = self.folder, self.folder / "config.yaml"
        if not _is_first() or not folder.is_dir() or (folder / RESULT).exists() or self.checkpoints:
            return
        # A run that was killed even before it wrote its config has claimed its folder at most.
        started = config.is_file() or {path.name for path in folder.iterdir()} - {".lock"}
        if started and not (config.is_file() and is_same(config)):
            return
        self._take()
        names = (folder.with_name(f"{folder.name}_unfinished_{number}") for number in count(1))
        folder.rename(next(name for name in names if not name.exists()))
        self.release()

    def set_damaged_aside(self) -> None:
        """Rename last.ckpt, which would take the place of the one before at the next save."""
        if _is_first():
            (self.folder / LAST).replace(self.folder / DAMAGED)

    def _take(self) -> None:
        """Keep other processes out of the folder."""
        self._lock = FileLock(self.folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(
                f"Expected a run that nothing is training, found {self.folder} in use by another "
                "process; wait until it has ended, or choose another --run name."
            ) from error

    def discard(self) -> None:
        """Remove the folder of a run that failed before its first step, which frees its name.

        Only a folder that this object claimed is removed, and only if it holds nothing but what the
        start of a run writes.
        """
        folder, self._claimed = self._claimed, None
        if folder is None or not folder.is_dir():
            return
        files = list(folder.iterdir())
        own = ("config.yaml", "hparams.yaml", ".lock")
        if all(path.name in own or path.name.startswith("events.out.tfevents.") for path in files):
            # Anything that cannot be removed, for example on a network drive, stays.
            with contextlib.suppress(OSError):
                for path in files:
                    path.unlink()
                folder.rmdir()

    def release(self) -> None:
        """Let this process claim another folder, and other processes use this one, which stays."""
        self._claimed = None
        if self._lock is not None:
            self._lock.release()
        os.environ.pop(_VARIABLE, None)


def _is_first() -> bool:
    """Whether this process is the first of its job, or the only one."""
    return next((os.environ[key] for key in _LAUNCHED if key in os.environ), "0") == "0"
