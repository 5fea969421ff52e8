"""`lightning study`: train every arm of a study with every seed."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.commands.sigterm import raising_at_sigterm
from lightning_pose.errors import ConfigError, printable
from lightning_pose.runs import RESULT

__all__ = ["main"]

_DESCRIPTION = """\
Train every arm of a study with every seed, each in an ordinary run folder below
checkpoints/STUDY/ARM/seed_N.

The arms are listed in a YAML file: `arms` has the options of fit that each adds to those given
here, and `seeds` says how many runs each arm gets. With two heads or more, each head alone is an
arm, too, unless `single_task` is false. Start the same command again to go on: runs that have ended
are not repeated, and one that was stopped continues. A run that fails does not stop the others.
SIGTERM ends the runs in progress after their current step. With --only, the tasks of a cluster's
job array train one run each.
"""

_RECORD = "study.json"


@dataclass(frozen=True)
class _Planned:
    """A run of the study."""

    arm: str
    seed: int
    folder: Path
    words: list[str]

    @property
    def result(self) -> Path:
        """The file that `fit` writes when the run has ended."""
        return self.folder / RESULT


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning study`.

    Args:
        command: "study".
        argv: The arguments after it.

    Returns:
        The exit status: 0, or 1 if a run failed; with --only, that of `fit`.

    Raises:
        InputError: The study or a config cannot be used, or the study was started with others; with
            --only, also what `fit` raises.
    """
    options, others = _parser(command).parse_known_args(argv)
    if options.jobs < 1:
        raise ConfigError(f"Expected --jobs of 1 or more, found {options.jobs}; correct it.")
    # Imported here, so that --help is answered at once.
    from lightning_pose.commands.configs import find_config, read_config, split_configs
    from lightning_pose.commands.head_settings import head_names
    from lightning_pose.study import Study

    path = find_config(options.study)
    study = Study.from_dict(read_config(path), path)
    configs, words = split_configs([f"--config={name}" for name in options.config] + others)
    folder = options.output or Path("checkpoints") / path.stem
    arms = study.with_baselines(head_names(configs, words), path)
    base = [f"--config={config}" for config in configs] + words
    _keep_record(folder, base, {arm.name: list(arm.options) for arm in arms})
    if options.jobs > 1 and not any(word.split("=")[0] == "--threads" for word in words):
        base.append(f"--threads={max(1, (os.cpu_count() or 1) // options.jobs)}")
    planned = []
    for seed in study.seeds:  # Seed by seed, so that an unfinished study compares all arms.
        for arm in arms:
            own = [f"--seed_everything={seed}", f"--trainer.default_root_dir={folder}"]
            own += [f"--experiment={arm.name}", f"--run=seed_{seed}", "--ckpt_path=auto"]
            own.append("--trainer.enable_progress_bar=false")
            run = folder / arm.name / f"seed_{seed}"
            planned.append(_Planned(arm.name, seed, run, [*base, *arm.options, *own]))
    if options.only is not None:
        return _train_only(planned, options.only)
    return _train(planned, options.jobs)


def _parser(command: str) -> argparse.ArgumentParser:
    usage = f"lightning {command} --study STUDY [--config CONFIG ...] [options of fit] [options]"
    parser = make_parser(command, _DESCRIPTION, usage)
    add = parser.add_argument
    add(
        "--study", required=True, metavar="FILE",
        help="the YAML file of the study, looked up like a config",
    )  # fmt: skip
    add(
        "-c", "--config", action="append", default=[], metavar="CONFIG",
        help="a config for every arm; repeat for more, of which a later one overrides others",
    )  # fmt: skip
    add(
        "--jobs", type=int, default=1, metavar="N",
        help="how many runs train at a time, each with its part of the cores (default: 1)",
    )  # fmt: skip
    add(
        "--only", type=int, metavar="N",
        help="train the N-th run alone, from 1 to the number of arms times seeds; seed by seed, so "
        "that the first runs compare all arms",
    )  # fmt: skip
    add(
        "--output", type=Path, metavar="FOLDER",
        help="the folder of the runs (default: checkpoints/ and the name of the study's file)",
    )  # fmt: skip
    return parser


def _keep_record(folder: Path, base: list[str], arms: dict[str, Any]) -> None:
    """Note with what the study was started; runs with other settings must not mix with these.

    Raises:
        ConfigError: The folder's runs were started with other settings.
    """
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    # The tasks of a job array start at the same moment.
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        _add_to_record(folder, base, arms)


def _add_to_record(folder: Path, base: list[str], arms: dict[str, Any]) -> None:
    path = folder / _RECORD
    record = {"command": base, "arms": arms}
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, arm in arms.items() if before["arms"].get(name, arm) != arm]
        if before["command"] != base or changed:
            what = f"the arm {changed[0]}" if changed else f"the options {' '.join(base)}"
            raise ConfigError(
                f"Expected {folder} to go on with the settings that it was started with, found "
                f"{what} changed; choose another --output for a changed study."
            )
        record["arms"] = before["arms"] | arms
    elif folder.exists() and any(folder.iterdir()):
        raise ConfigError(
            f"Expected a new folder or that of a study, found {folder} without {_RECORD}; choose "
            "another --output."
        )
    from lightning_pose.atomic import replacing

    folder.mkdir(exist_ok=True)
    with replacing(path) as file:
        file.write(json.dumps(record, indent=1).encode())


def _train(planned: Sequence[_Planned], jobs: int) -> int:
    """Train what has not ended yet, and say how each run ended."""
    left = [run for run in planned if not run.result.is_file()]
    print(f"{len(planned)} runs, of which {len(planned) - len(left)} have ended.", flush=True)
    status = 0
    processes = _Processes()
    with raising_at_sigterm(), ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_run, run, processes): run for run in left}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                run, failure = futures[future], future.result()
                status = status if failure is None else 1
                sentence = _outcome(run) if failure is None else f"failed: {failure}"
                name = f"{run.arm}, seed {run.seed}"
                print(f"[{number}/{len(left)}] {name}: {printable(sentence)}", flush=True)
        except KeyboardInterrupt:
            # The same key has interrupted the runs in progress; the others must not begin.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except SystemExit:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.terminate()
            print("Stopped; start the same command again to go on.", flush=True)
            raise
    return status


def _train_only(planned: Sequence[_Planned], number: int) -> int:
    """Train one run in this process, which signals reach, and of which srun may start several."""
    if not 1 <= number <= len(planned):
        raise ConfigError(
            f"Expected --only from 1 to {len(planned)}, the number of runs of this study, found "
            f"{number}; correct it."
        )
    run = planned[number - 1]
    if run.result.is_file():
        print(f"{run.arm}, seed {run.seed}, has ended: {_outcome(run)}")
        return 0
    from lightning_pose.commands import fit

    return fit.main("fit", run.words)


class _Processes:
    """The processes that train the runs in progress."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._terminated = False

    def train(self, words: Sequence[str], log: IO[bytes]) -> int:
        """Run `fit` in a process of its own; return its status."""
        with self._lock:
            if self._terminated:
                return 128 + signal.SIGTERM
            process = subprocess.Popen(  # noqa: S603  # Our own command, without a shell.
                [sys.executable, "-m", "lightning_pose", "fit", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            self._running.add(process)
        status = process.wait()
        with self._lock:
            self._running.remove(process)
        return status

    def terminate(self) -> None:
        """Let every run end after its step, with last.ckpt written; begin no other."""
        with self._lock:
            self._terminated = True
            for process in self._running:
                process.terminate()


def _run(run: _Planned, processes: _Processes) -> str | None:
    """Train one run in a process of its own; return why it failed, or None if it has ended."""
    from filelock import FileLock, Timeout

    log = run.folder.with_suffix(".log")
    log.parent.mkdir(exist_ok=True)
    try:
        with FileLock(run.folder.with_suffix(".lock"), timeout=0):
            # Another process may have trained it in the meantime.
            if run.result.is_file():
                return None
            with log.open("wb") as file:
                status = processes.train(run.words, file)
    except Timeout:
        return "another process is training it."
    if run.result.is_file():
        return None
    return f"status {status}, {_last_line(log)} See {log}."


def _outcome(run: _Planned) -> str:
    """One line about a run that has ended."""
    result = json.loads(run.result.read_text(encoding="utf-8"))
    main = "no validation" if result["main"] is None else f"val/main {result['main']:.4f}"
    return f"{main}, {result['seconds'] / 60:.1f} min"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it printed nothing."
