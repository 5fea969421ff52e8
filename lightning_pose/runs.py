"""Run folders: where a training run writes, claimed so that no two runs share one."""

import contextlib
import os
import time
from pathlib import Path

from lightning_pose.errors import ConfigError

__all__ = ["Run"]

_VARIABLE = "LIGHTNING_POSE_RUN"
"""Tells the processes that Lightning starts for other devices which folder was claimed."""

_LAUNCHED = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Where Lightning looks for a process's rank before it has started any processes itself."""


class Run:
    """The folder of one run.

    Create one with `claim` for a new run or `resume` for an existing one.

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
        if next((os.environ[key] for key in _LAUNCHED if key in os.environ), "0") != "0":
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
                return cls(folder, claimed=True)

    @classmethod
    def resume(cls, folder: str | Path) -> "Run":
        """Open the folder of an existing run, in every process of a job.

        Args:
            folder: The run's folder.

        Returns:
            The run; `discard` leaves its folder alone.

        Raises:
            ConfigError: The folder is not that of a run.
        """
        folder = Path(folder)
        if not (folder / "config.yaml").is_file():
            raise ConfigError(
                f"Expected the folder of a run, found no config.yaml in {folder}; check the path."
            )
        return cls(folder)

    def discard(self) -> None:
        """Remove the folder of a run that failed before its first step, which frees its name.

        Only a folder that this object claimed is removed, and only if it holds nothing but what the
        start of a run writes.
        """
        folder, self._claimed = self._claimed, None
        if folder is None or not folder.is_dir():
            return
        files = list(folder.iterdir())
        own = ("config.yaml", "hparams.yaml")
        if all(path.name in own or path.name.startswith("events.out.tfevents.") for path in files):
            # Anything that cannot be removed, for example on a network drive, stays.
            with contextlib.suppress(OSError):
                for path in files:
                    path.unlink()
                folder.rmdir()

    def release(self) -> None:
        """Let this process claim another folder; this one stays."""
        self._claimed = None
        os.environ.pop(_VARIABLE, None)
