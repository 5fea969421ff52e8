"""A real Slurm of one node with two fake GPUs, for the drill that submits the shipped job files."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
"""Debian's packages slurm-wlm and munge."""

_CONF = """
ClusterName=drill
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job may begin again once its credentials have expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SchedulerParameters=sched_interval=2,bf_interval=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# The machine may have fewer cores than two processes ask for.
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 Gres=gpu:2
PartitionName=drill Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 240) -> None:
    """Wait until a condition holds; fail if it still does not after some time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"Expected {what} within {seconds:g} s.")
        time.sleep(0.2)


@contextmanager
def running(environment: dict[str, str]) -> Iterator[Callable[..., str]]:
    """Run a cluster; yield a function that runs one of its commands and returns what it prints.

    Args:
        environment: The environment of the jobs.
    """
    # Not below the folder of a test: the paths of sockets have at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm_") as name, ExitStack() as daemons:
        folder = Path(name)
        _configure(folder)
        environment = {**environment, "SLURM_CONF": str(folder / "slurm.conf")}

        def run(*words: str | Path, cwd: Path | None = None) -> str:
            done = subprocess.run(
                words, env=environment, cwd=cwd, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        paths = {key: f"--{key}-file={folder}/munge.{key}" for key in ("key", "pid", "log", "seed")}
        socket_path = f"--socket={folder / 'munge.socket'}"
        daemons.enter_context(
            _daemon(environment, "munged", "--foreground", "--force", socket_path, *paths.values())
        )
        wait_for((folder / "munge.socket").exists, "munged to run", 20)
        daemons.enter_context(_daemon(environment, "slurmctld", "-D", "-i"))
        daemons.enter_context(_daemon(environment, "slurmd", "-D"))
        wait_for(lambda: "idle" in run("sinfo", "--noheader"), "a node that is idle", 60)
        try:
            yield run
        finally:
            run("scancel", "--user", getpass.getuser())
            wait_for(lambda: not run("squeue", "--noheader"), "jobs to end", 60)


def _configure(folder: Path) -> None:
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    text = _CONF.format(
        folder=folder,
        host=socket.gethostname().split(".")[0],
        user=getpass.getuser(),
        controller=ports[0],
        node=ports[1],
    )
    (folder / "slurm.conf").write_text(text)
    # Any two devices will do: no job opens them.
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge.key").chmod(0o600)
    for part in ("state", "spool"):
        (folder / part).mkdir()


@contextmanager
def _daemon(environment: dict[str, str], *words: str) -> Iterator[None]:
    """Keep a program running that does not return."""
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def clean_environment(path: Path) -> dict[str, str]:
    """The environment of a user whose Python is the given one, one thread per process."""
    keep = {name: os.environ[name] for name in ("HOME", "PYTHONPATH", "LANG") if name in os.environ}
    found = {"PATH": f"{path.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return {**keep, **found}
