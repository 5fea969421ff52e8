"""`lightning fit` killed again and again, and compared with a run that nothing has stopped.

    python -m tests.kills COUNT [--processes 2] [--seed 0] [--folder FOLDER]

Each process is the real command with `--ckpt_path auto`. It is frozen where the run's folder shows
that a chosen moment has come: within an epoch, in a validation, while a checkpoint is written, or
between a checkpoint and what its step logs. If it is still there once it is frozen, it is killed,
and started again. A run that ends in between is followed by the next one. Every run that has ended
is compared with the one that nothing has stopped: weights, optimiser, best.ckpt, predictions.npz,
metrics.csv and TensorBoard.

A single process gets SIGKILL. Of two, one or both get SIGKILL or SIGTERM, and all of them must end
within a minute. Linux only.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.commands.project import CONFIG, rows
from tests.commands.test_resume import assert_equal, content
from tests.data.lspet import write_lspet

EVERY = 3  # Steps from one validation to the next.
# Workers and augmentation are the defaults, and so is dropout; the weights take a while to write.
WORDS = ["fit", "--config=tiny.yaml", "--ckpt_path=auto", "--save_every_n_steps=1", "--threads=1"]
WORDS += [f"--trainer.val_check_interval={EVERY}", "--trainer.max_epochs=3"]
WORDS += ["--model.backbone.init_args.width=12", "--data.num_workers=2"]
WORDS += ["--data.train=[1,24]", "--data.val=[25,36]", "--data.test=[37,40]", "--data.batch_size=2"]
TWO = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
TWO += ["--data.batch_size=4"]

MOMENTS = ("checkpoint", "validation", "epoch", "row")
WAYS = ("SIGTERM to one", "SIGKILL of one", "SIGKILL of all", "SIGTERM to all", "SIGKILL of all")
"""What happens to two processes."""


class Kill(NamedTuple):
    """One kill: where it found the run, what it did, how it ended and after how many seconds."""

    moment: str
    way: str
    status: int
    seconds: float
    printed: str


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def prepare(folder: Path) -> None:
    """Write the dataset and the config."""
    write_lspet(folder / "lspet", count=36)
    (folder / "tiny.yaml").write_text(CONFIG)


def start(folder: Path, root: str, processes: int, *others: str) -> subprocess.Popen:
    """Start the command in a process group of its own; what it prints goes to ROOT.txt."""
    words = [
        *WORDS,
        *(TWO if processes == 2 else []),
        f"--trainer.default_root_dir={root}",
        *others,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (folder / f"{root}.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lightning_pose", *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def finish(folder: Path, root: str, processes: int) -> None:
    """Let a run end."""
    running = start(folder, root, processes)
    try:
        status = running.wait(timeout=600)
    finally:
        end(running)
    assert status == 0, (folder / f"{root}.txt").read_text()[-3000:]


def is_written(path: Path, since: float) -> bool:
    """Whether a file is there and was written since a time; a training may rename it away."""
    try:
        return path.stat().st_mtime >= since
    except FileNotFoundError:
        return False


def is_at(moment: str, run: Path, since: float) -> bool:
    """Whether a run is at a moment, as its folder shows, having trained since it was started."""
    table = run / "metrics.csv"
    if not is_written(table, since):
        return False
    if moment == "checkpoint":
        return any(is_written(path, since) for path in run.glob("*.ckpt.part"))
    if moment == "row":
        return is_written(run / "new.last.ckpt", since)
    found = rows(table)
    if not found or not (found[-1].get("step") or "").isdigit():
        return False
    due = (int(found[-1]["step"]) + 1) % EVERY == 0
    # A validation follows on the row of its step.
    return bool(found[-1].get("train/loss")) and due == (moment == "validation")


def members(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of, *_ = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(of) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def second(group: int) -> int:
    """The second process of a training, which the first has started."""
    for pid in members(group):
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        if int(parent) == group and b"LOCAL_RANK=1" in variables:
            return pid
    raise AssertionError("the first process has started no second one")


def wait_for_all(running: subprocess.Popen, cause: str) -> int:
    """Wait at most a minute until all processes of a group have ended; the status of the first."""
    began = time.monotonic()
    while members(running.pid):
        running.poll()
        left = members(running.pid)
        assert time.monotonic() - began < 60, f"60 s after {cause}, still running: {left}"
        time.sleep(0.05)
    return running.wait()


def end(running: subprocess.Popen) -> None:
    """End all that is left of a group."""
    if members(running.pid):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def kill(running: subprocess.Popen, way: str, chance: random.Random) -> tuple[int, float]:
    """Send a frozen group its signal, and wait until all have ended; the status and the seconds."""
    group, number = running.pid, signal.Signals[way.split()[0]]
    began = time.monotonic()
    if way.endswith("one"):
        os.kill(chance.choice([group, second(group)]), number)
    else:
        os.killpg(group, number)
    if way != "SIGKILL of all":
        os.killpg(group, signal.SIGCONT)
    return wait_for_all(running, way), time.monotonic() - began


def kill_at(
    folder: Path, root: str, processes: int, moment: str, way: str, chance: random.Random
) -> Kill | None:
    """Start the command and kill it at a moment; None if the run has ended before."""
    since = time.time()
    running = start(folder, root, processes)
    try:
        return follow(running, folder / root / "tiny", (moment, way), chance, since)
    finally:
        end(running)


def follow(
    running: subprocess.Popen,
    tiny: Path,
    aim: tuple[str, str],
    chance: random.Random,
    since: float,
) -> Kill | None:
    """Kill a process that trains in a folder at a moment and in a way."""
    moment, way = aim
    log = tiny.parent.with_suffix(".txt")
    skipped = chance.randrange(3)  # Not always the first such moment.
    while running.poll() is None:
        runs = sorted(tiny.glob("*/metrics.csv"), key=lambda one: one.stat().st_mtime)
        if not runs or not is_at(moment, runs[-1].parent, since):
            time.sleep(0.001)
            continue
        if skipped:
            skipped -= 1
            while running.poll() is None and is_at(moment, runs[-1].parent, since):
                time.sleep(0.001)
            continue
        os.killpg(running.pid, signal.SIGSTOP)
        if is_at(moment, runs[-1].parent, since):
            status, seconds = kill(running, way, chance)
            return Kill(moment, way, status, seconds, log.read_text())
        os.killpg(running.pid, signal.SIGCONT)
    assert running.returncode == 0, log.read_text()[-3000:]
    return None


def chain(folder: Path, count: int, processes: int = 1, seed: int = 0) -> list[Kill]:
    """Kill a number of times, the first four at the four moments in turn; return the kills.

    Every run that ends is asserted to equal the one that nothing has stopped. At most five times as
    many processes are started: a moment may pass so fast that it is missed.
    """
    prepare(folder)
    finish(folder, "whole", processes)
    chance = random.Random(seed)
    kills: list[Kill] = []
    for _ in range(5 * count):
        if (turn := len(kills)) == count:
            break
        moment = MOMENTS[turn] if turn < len(MOMENTS) else chance.choice(MOMENTS)
        way = "SIGKILL of all" if processes == 1 else WAYS[turn % len(WAYS)]
        if (found := kill_at(folder, "killed", processes, moment, way, chance)) is not None:
            kills.append(found)
            say(
                f"{turn + 1}: {way} at {moment}, status {found.status}, all ended after "
                f"{found.seconds:.1f} s; the last line: {found.printed.splitlines()[-1:]}"
            )
    assert len(kills) == count, f"{moment} was missed too often, after {len(kills)} kills"
    finish(folder, "killed", processes)
    (whole,) = (path.parent for path in folder.glob("whole/tiny/*/result.json"))
    ended = [path.parent for path in folder.glob("killed/tiny/*/result.json")]
    for run in ended:
        assert_equal(content(run), content(whole), run.name)
    say(f"{len(kills)} kills in {len(ended)} runs that ended, each equal to the last bit.")
    return kills


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--processes", type=int, choices=[1, 2], default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep all runs there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        where = options.folder or Path(temporary)
        where.mkdir(parents=True, exist_ok=True)
        chain(where, options.count, options.processes, options.seed)
