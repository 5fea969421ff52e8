"""`lightning fit` started many times at the cost of one import, for the drill that kills it.

    python -m tests.faulty_machine FAULT COUNT ARGUMENTS_OF_FIT...

Each run is a forked process named run_0, run_1 and so on. As soon as a run writes its third
last.ckpt, the fault is applied:

kill     SIGKILL, so that it dies while the checkpoint is half written
limit    no file may grow beyond a kilobyte from now on
full     the file system of the current folder is filled to the last byte
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

from lightning_pose.cli import main
from lightning_pose.commands import fit  # noqa: F401  # Imported once, before the runs fork.


def wait_for_write(pid: int, folder: Path, count: int) -> None:
    """Wait until a run writes its last.ckpt for the nth time."""
    seen, there = 0, False
    while seen < count:
        before, there = there, (folder / "new.last.ckpt.part").exists()
        seen += there and not before
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise SystemExit(f"Expected {count} checkpoints in {folder}, found {seen}.")


def apply(fault: str, pid: int) -> None:
    if fault == "kill":
        os.kill(pid, signal.SIGKILL)
    elif fault == "limit":
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, 1000))
    elif fault == "full":
        with Path("filling").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(100_000)):
                    pass
            except OSError:
                return


def run(fault: str, number: int, words: list[str]) -> int:
    """Start one run and spoil it; return its exit status, negative for a signal."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = main(["fit", *words, "--experiment", "faulty", "--run", f"run_{number}"])
        sys.stderr.flush()
        os._exit(status)
    folder = Path("checkpoints", "faulty", f"run_{number}")
    wait_for_write(pid, folder, 3)
    time.sleep(0.001 * (number % 5))
    apply(fault, pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    chosen, count, *arguments = sys.argv[1:]
    for turn in range(int(count)):
        sys.stdout.write(f"status {run(chosen, turn, arguments)}\n")
        sys.stdout.flush()
