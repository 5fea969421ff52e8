"""A faulty machine: killed in a write, a full disk, a limit, a read-only folder. On demand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_pose import checkpoint
from lightning_pose.cli import main
from tests.commands.project import CONFIG, refused
from tests.data.lspet import write_lspet

pytestmark = pytest.mark.drill

# Weights of a few megabytes, so that a write takes long enough to be met, after every step.
LARGE = ["--model.backbone.init_args.width", "12", "--trainer.val_check_interval", "1"]
LARGE += ["--trainer.max_epochs", "50", "--trainer.limit_val_batches", "1"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_lspet(tmp_path / "lspet", count=12)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A project on a file system of 100 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("Mounting a file system takes root's rights.")
    write_lspet(disk / "lspet", count=12)
    (disk / "tiny.yaml").write_text(CONFIG)
    yield disk
    subprocess.run(["umount", disk], check=True)


def spoil(project: Path, fault: str, count: int, temporary: str = "") -> tuple[list[int], str]:
    """Start runs and apply a fault to each; return their exit statuses and the last sentence."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    if temporary:
        environment["TMPDIR"] = temporary
    words = ["--config", "tiny.yaml", *LARGE]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faulty_machine", fault, str(count), *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("status ")]
    return [int(status) for _, status in lines], done.stderr.splitlines()[-1] if done.stderr else ""


def assert_whole(project: Path, count: int) -> int:
    """Every checkpoint of every run is whole; return how many writes were cut off."""
    for number in range(count):
        run = project / "checkpoints" / "faulty" / f"run_{number}"
        names = {path.name for path in run.glob("*.ckpt")}
        assert {"best.ckpt", "last.ckpt", "last.previous.ckpt"} <= names
        for path in run.glob("*.ckpt"):
            assert checkpoint.read(path)["global_step"] > 0
    return len(list((project / "checkpoints").rglob("*.part")))


@pytest.mark.parametrize("temporary", ["", "/dev/shm"])
def test_sigkill_leaves_only_whole_checkpoints(project: Path, temporary: str) -> None:
    if temporary and not Path(temporary).is_dir():
        pytest.skip(f"There is no {temporary}, a file system of its own on Linux.")
    statuses, _ = spoil(project, "kill", 10, temporary)
    assert statuses == [-9] * 10
    # Some die a moment after the write.
    assert assert_whole(project, 10) >= 3


def test_a_limit_on_file_sizes_ends_in_a_sentence(project: Path) -> None:
    statuses, sentence = spoil(project, "limit", 1)
    assert statuses == [1]
    # Another file may meet the limit before a checkpoint does.
    assert sentence.startswith("lightning fit: Expected to ")
    assert "File too large" in sentence
    assert assert_whole(project, 1) == 0


def test_a_full_disk_ends_in_a_sentence(small_disk: Path) -> None:
    statuses, sentence = spoil(small_disk, "full", 1)
    assert statuses == [1]
    # TensorBoard and the CSV file may meet the full disk before a checkpoint does.
    assert sentence.startswith("lightning fit: Expected to ")
    assert "No space left on device" in sentence
    assert_whole(small_disk, 1)


def test_a_read_only_folder_ends_in_a_sentence(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small_disk)
    assert main(["fit", "--config", "tiny.yaml", "--run", "first"]) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "Read-only file system" in refused(capsys, "fit", "--config", "tiny.yaml")
    words = ["--ckpt_path", "checkpoints/tiny/first/best.ckpt"]
    images = ["--images", "lspet/images/im00001.jpg", "--output", "out"]
    assert "Read-only file system" in refused(capsys, "predict", *words, *images)
    # What needs no folder still works.
    assert main(["validate", *words]) == 0


def test_a_full_shared_memory_ends_in_a_sentence(project: Path) -> None:
    """Containers often have 64 MB of it; here it is smaller than a batch."""
    small = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    if os.getuid() or subprocess.run(["unshare", "-m", "sh", "-c", small], check=False).returncode:
        pytest.skip("Mounting a file system takes root's rights.")
    words = ["fit", "--config=tiny.yaml", "--data.num_workers=1", "--data.batch_size=8"]
    words += ["--data.input_spec.size=[256,256]", "--trainer.num_sanity_val_steps=0"]
    shell = ["unshare", "-m", "sh", "-c", f'{small} && exec "$@"', "sh"]
    done = subprocess.run(
        [*shell, sys.executable, "-m", "lightning_pose", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lightning fit: Expected room for batches in the shared memory")
