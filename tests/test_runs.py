import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from lightning_pose.errors import ConfigError
from lightning_pose.runs import Run


@pytest.fixture(autouse=True)
def nothing_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set here, so that it is removed afterwards whatever a test has claimed.
    monkeypatch.setenv("LIGHTNING_POSE_RUN", "")
    monkeypatch.delenv("LIGHTNING_POSE_RUN")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../b", "/tmp/b"])
def test_a_run_is_one_folder_below_its_experiment(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--run as the name of one folder"):
        Run.claim(tmp_path, "combined", name)
    assert not any(tmp_path.iterdir())


def test_an_experiment_stays_below_the_root(tmp_path: Path) -> None:
    assert Run.claim(tmp_path, "sweep/one", "a").folder == tmp_path / "sweep" / "one" / "a"
    for name in ("", ".", "../b", "a/../../b", "/tmp/b"):
        with pytest.raises(ConfigError, match="--experiment as a relative folder"):
            Run.claim(tmp_path, name)


def begin(run: Run, *more: str) -> set[str]:
    names = {"config.yaml", "hparams.yaml", "events.out.tfevents.1.host", *more}
    for name in names:
        (run.folder / name).touch()
    return names


def test_a_discarded_run_leaves_its_name_free(tmp_path: Path) -> None:
    for _ in range(2):
        run = Run.claim(tmp_path, "combined", "mine")
        begin(run)
        run.discard()
        assert not run.folder.exists()
    run.discard()  # Nothing is left to remove.


def test_a_run_is_discarded_from_another_working_directory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run.claim("checkpoints", "combined", "mine")
    assert run.folder == Path("checkpoints/combined/mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run.discard()
    assert not (tmp_path / "checkpoints" / "combined" / "mine").exists()


@pytest.mark.parametrize("name", ["metrics.csv", "best.ckpt", "notes.txt", "config.yaml.bak"])
def test_a_folder_with_anything_else_in_it_stays_whole(tmp_path: Path, name: str) -> None:
    run = Run.claim(tmp_path, "combined", "mine")
    names = begin(run, name)
    run.discard()
    assert {path.name for path in run.folder.iterdir()} == {*names, ".lock"}


def test_a_released_run_stays(tmp_path: Path) -> None:
    run = Run.claim(tmp_path, "combined", "mine")
    begin(run)
    run.release()
    run.discard()
    assert (run.folder / "config.yaml").is_file()


def test_only_the_process_that_claimed_a_folder_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Run.claim(tmp_path, "combined", "mine")
    begin(first)
    assert os.environ["LIGHTNING_POSE_RUN"] == str(first.folder)
    monkeypatch.setenv("LOCAL_RANK", "1")
    other = Run.claim(tmp_path, "combined", "mine")
    assert other.folder == first.folder
    other.discard()
    assert first.folder.is_dir()
    first.discard()
    assert not first.folder.exists()


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    folders = {Run.claim(tmp_path, "combined").folder for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path / "combined" for folder in folders)


def test_a_named_run_is_not_taken_twice(tmp_path: Path) -> None:
    first = Run.claim(tmp_path, "combined", "mine").folder
    (first / "best.ckpt").write_text("precious")
    with pytest.raises(ConfigError, match="choose another --run"):
        Run.claim(tmp_path, "combined", "mine")
    assert (first / "best.ckpt").read_text() == "precious"


def test_a_root_that_is_a_file_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be created \(Not a directory\)"):
        Run.claim(tmp_path / "file", "combined", "mine")


def test_a_process_for_another_device_gets_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Run.claim(tmp_path, "combined").folder
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Run.claim(tmp_path, "combined").folder == first


def test_the_next_run_of_a_process_with_many_devices_gets_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Run.claim(tmp_path, "combined", "first")
    monkeypatch.setenv("LOCAL_RANK", "0")  # Lightning sets it when it starts the others.
    first.release()
    assert Run.claim(tmp_path, "combined", "second").folder != first.folder


def test_a_process_that_another_launcher_started_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "combined" / "mine"
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert Run.claim(tmp_path, "combined", "mine").folder == folder
    assert not any(tmp_path.iterdir())
    monkeypatch.setenv("SLURM_PROCID", "0")
    Run.claim(tmp_path, "combined", "mine").release()
    monkeypatch.setenv("SLURM_PROCID", "1")
    # The first process was faster.
    other = Run.claim(tmp_path, "combined", "mine")
    assert other.folder == folder
    other.discard()
    assert folder.is_dir()


def stopped(root: Path, name: str, config: str = "mine") -> Path:
    """A run that was stopped after a checkpoint."""
    run = Run.claim(root, "combined", name)
    (run.folder / "config.yaml").write_text(config)
    (run.folder / "last.ckpt").touch()
    run.release()
    return run.folder


def find(root: Path, name: str | None = None) -> Run | None:
    return Run.find_unfinished(root, "combined", lambda path: path.read_text() == "mine", name)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_unfinished_run_is_the_same_folder_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    folder = stopped(tmp_path, "first")
    monkeypatch.setenv("SLURM_PROCID", rank)
    run = find(tmp_path)
    assert run.folder == folder
    assert run.checkpoints == [folder / "last.ckpt"]
    run.discard()
    assert (folder / "last.ckpt").is_file(), "it was there before"
    run.release()


def test_a_process_for_another_device_continues_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path, "first")
    run = find(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert find(tmp_path).folder == folder, "the lock is that of the first process"
    run.release()


def test_a_run_that_has_ended_or_has_another_config_is_not_continued(tmp_path: Path) -> None:
    (stopped(tmp_path, "ended") / "result.json").touch()
    stopped(tmp_path, "other", config="other")
    (stopped(tmp_path, "early") / "last.ckpt").unlink()
    assert find(tmp_path) is None
    assert find(tmp_path, "ended") is None
    assert find(tmp_path, "nothing") is None


def test_the_newest_of_several_runs_is_continued_unless_one_is_named(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old")):
        os.utime(stopped(tmp_path, name) / "config.yaml", (1e9 - age, 1e9 - age))
    run = find(tmp_path)
    assert run.folder.name == "new"
    run.release()
    run = find(tmp_path, "old")
    assert run.folder.name == "old"
    run.release()


def test_a_run_in_use_is_not_continued(tmp_path: Path) -> None:
    run = Run(stopped(tmp_path, "first"))
    with FileLock(run.folder / ".lock"), pytest.raises(ConfigError, match="in use by another"):
        find(tmp_path)


TRAINING = """
import os, signal, sys
from lightning_pose.runs import Run

run = Run.find_unfinished(sys.argv[1], "combined", lambda path: True, None)
if os.fork() == 0:
    # Said by the worker, which has let go of the lock by then.
    print(os.getpid(), flush=True)
signal.pause()
"""


def test_the_worker_of_a_process_that_was_killed_does_not_keep_its_run(tmp_path: Path) -> None:
    folder = stopped(tmp_path, "first")
    command = [sys.executable, "-c", TRAINING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        worker = int(training.stdout.readline())
        try:
            with pytest.raises(ConfigError, match="in use by another"):
                find(tmp_path)
            training.kill()
            training.wait()
            run = find(tmp_path)
            assert run.folder == folder
            run.release()
        finally:
            training.kill()
            os.kill(worker, signal.SIGKILL)


def test_the_checkpoint_before_the_last_is_the_second_choice(tmp_path: Path) -> None:
    folder = stopped(tmp_path, "first")
    (folder / "last.previous.ckpt").touch()
    assert [path.name for path in Run(folder).checkpoints] == ["last.ckpt", "last.previous.ckpt"]


def set_aside(root: Path, name: str) -> None:
    Run(root / "combined" / name).set_aside(lambda path: path.read_text() == "mine")


def test_a_run_without_a_checkpoint_gives_up_its_name(tmp_path: Path) -> None:
    for number in (1, 2):
        early = stopped(tmp_path, "early")
        (early / "last.ckpt").unlink()
        (early / "metrics.csv").write_text(str(number))
        set_aside(tmp_path, "early")
        assert not early.exists()
        aside = early.with_name(f"early_unfinished_{number}")
        assert (aside / "metrics.csv").read_text() == str(number)
    # Killed before it had written its config.
    Run.claim(tmp_path, "combined", "empty").release()
    set_aside(tmp_path, "empty")
    Run.claim(tmp_path, "combined", "empty").release()


@pytest.mark.parametrize("kind", ["with a checkpoint", "ended", "of another config", "a folder"])
def test_nothing_else_gives_up_its_name(tmp_path: Path, kind: str) -> None:
    folder = stopped(tmp_path, "first", "other" if kind == "of another config" else "mine")
    if kind != "with a checkpoint":
        (folder / "last.ckpt").unlink()
    if kind == "ended":
        (folder / "result.json").touch()
    if kind == "a folder":
        (folder / "config.yaml").rename(folder / "notes.txt")
    names = {path.name for path in folder.iterdir()}
    set_aside(tmp_path, "first")
    set_aside(tmp_path, "nothing")
    assert {path.name for path in folder.iterdir()} == names


def test_a_run_in_use_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early = stopped(tmp_path, "early")
    (early / "last.ckpt").unlink()
    with FileLock(early / ".lock"), pytest.raises(ConfigError, match="in use by another"):
        set_aside(tmp_path, "early")
    # The first process of a job does it for the others.
    monkeypatch.setenv("SLURM_PROCID", "1")
    set_aside(tmp_path, "early")
    assert early.is_dir()
