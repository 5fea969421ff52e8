"""The real `lightning study` on synthetic people; its runs are trained in this process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import yaml

from lightning_pose import cli
from lightning_pose.commands import study as command
from tests.test_configs import SHORT

# A small network, and heads that are quick to build.
BASE = """
model:
  backbone: {class_path: UNet, init_args: {width: 2}}
  heads:
    mask: {class_path: MaskHead}
    joints: {class_path: SoftmaxJointHead}
  main_head: joints
  weighting: {class_path: FixedWeighting, init_args: {weights: {mask: 1.5, joints: 0.5}}}
data: {class_path: SyntheticDataModule, init_args: {train_size: 8, val_size: 4}}
"""
STUDY = {
    "seeds": 2,
    "arms": {
        "equal": "--model.weighting.weights.mask 1.0 --model.weighting.weights.joints 1.0",
        "as_is": None,
    },
}


@pytest.fixture(autouse=True)
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Train in this process, because importing Lightning takes seconds; the runs so far."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)
    write_study(STUDY)
    runs: list[list[str]] = []

    def start(words: Sequence[str], **options) -> Mock:
        assert list(words[:4]) == [sys.executable, "-m", "lightning_pose", "fit"]
        runs.append(list(words[3:]))
        status = cli.main(words[3:])
        options["stdout"].write(b"first line\nlast line\n")
        return Mock(wait=lambda: status)

    own = SimpleNamespace(**vars(subprocess) | {"Popen": start})
    monkeypatch.setattr(command, "subprocess", own)
    return runs


def write_study(content: dict) -> None:
    # Without the baselines, which most tests need not train.
    content = {"single_task": False, **content}
    Path("weights.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def study(*words: str) -> int:
    return cli.main(["study", "--study", "weights.yaml", "--config", "base.yaml", *SHORT, *words])


def result(arm: str, seed: int) -> dict:
    path = Path("checkpoints/weights") / arm / f"seed_{seed}" / "result.json"
    return json.loads(path.read_text())


def test_every_arm_is_trained_with_every_seed_once(started, capsys) -> None:
    assert study() == 0
    assert len(started) == 4
    for arm in ("equal", "as_is"):
        mains = [result(arm, seed)["main"] for seed in (0, 1)]
        assert all(0 <= main <= 1 for main in mains)
        # The seeds are other runs.
        assert result(arm, 0)["metrics"] != result(arm, 1)["metrics"]
    for arm, mask in (("equal", 1.0), ("as_is", 1.5)):
        for seed in (0, 1):
            folder = Path("checkpoints/weights") / arm / f"seed_{seed}"
            config = yaml.safe_load((folder / "config.yaml").read_text())
            assert config["seed_everything"] == seed
            assert config["model"]["weighting"]["init_args"]["weights"]["mask"] == mask
            assert (folder / "predictions.npz").is_file()
            assert result(arm, seed)["steps"] == 2
            assert result(arm, seed)["seconds"] > 0
    printed = capsys.readouterr().out
    assert "4 runs, of which 0 have ended." in printed
    assert "[4/4] as_is, seed 1: val/main" in printed
    # The same command again has nothing to do.
    assert study() == 0
    assert len(started) == 4
    assert "4 runs, of which 4 have ended." in capsys.readouterr().out


def test_a_run_that_was_stopped_continues(started) -> None:
    write_study({"seeds": [1], "arms": {"equal": None}})
    assert study() == 0
    before = result("equal", 1)
    stopped = Path("checkpoints/weights/equal/seed_1")
    (stopped / "result.json").unlink()
    assert study() == 0
    assert len(started) == 2
    assert result("equal", 1)["metrics"] == before["metrics"]
    assert not list(stopped.parent.glob("*unfinished*"))


def test_a_run_without_a_checkpoint_is_trained_again_and_kept_aside(started) -> None:
    write_study({"seeds": [1], "arms": {"equal": None}})
    assert study() == 0
    before = result("equal", 1)
    killed = Path("checkpoints/weights/equal/seed_1")
    for number in (1, 2):
        (killed / "result.json").unlink()
        (killed / "last.ckpt").unlink()
        assert study() == 0
        assert result("equal", 1)["metrics"] == before["metrics"]
        assert (killed.with_name(f"seed_1_unfinished_{number}") / "best.ckpt").is_file()


def test_a_run_that_fails_does_not_stop_the_others(started, capsys) -> None:
    broken = "--model.optimizer.lr -1.0"
    write_study({"seeds": 1, "arms": {"broken": broken, "as_is": None}})
    assert study() == 1
    assert len(started) == 2
    assert result("as_is", 0)["steps"] == 2
    printed = capsys.readouterr().out
    log = Path("checkpoints/weights/broken/seed_0.log")
    assert f"[1/2] broken, seed 0: failed: status 1, last line See {log}." in printed


def test_each_head_alone_is_an_arm(started) -> None:
    # By default, of a model with two heads or more.
    write_study({"seeds": 1, "single_task": None, "arms": {"as_is": None}})
    assert study() == 0
    heads = {}
    for arm in ("as_is", "only_mask", "only_joints"):
        config = Path("checkpoints/weights") / arm / "seed_0" / "config.yaml"
        heads[arm] = set(yaml.safe_load(config.read_text())["model"]["heads"])
    assert heads == {
        "as_is": {"mask", "joints"}, "only_mask": {"mask"}, "only_joints": {"joints"},
    }  # fmt: skip
    assert list(result("only_mask", 0)["metrics"]) == ["mask/Dice"]


def test_heads_that_the_command_line_removes_are_no_arms(started, monkeypatch) -> None:
    monkeypatch.setattr(command, "_run", lambda run, _: started.append(run) or "not trained.")
    write_study({"seeds": 1, "single_task": None, "arms": {"as_is": None}})
    for output, words, heads in (
        ("all", [], ["mask", "joints"]),
        ("one", ["--model.heads.mask", "null"], []),
        ("same", ["--model.heads.mask=null"], []),
        ("more", ["--model.heads.mask=null", "--model.heads.more=MaskHead"], ["joints", "more"]),
        ("kept", ["--model.heads.mask.channels=8"], ["mask", "joints"]),
    ):
        started.clear()
        assert study("--output", output, *words) == 1
        assert [run.arm for run in started] == ["as_is", *(f"only_{head}" for head in heads)]


def test_the_tasks_of_a_job_array_train_one_run_each(started, capsys) -> None:
    assert study("--only", "2") == 0
    assert not started, "in this process"
    done = list(Path("checkpoints/weights").glob("*/*/result.json"))
    assert [path.parent.parent.name for path in done] == ["as_is"]
    written = done[0].stat().st_mtime_ns
    assert study("--only", "2") == 0
    assert "as_is, seed 0, has ended: val/main" in capsys.readouterr().out
    assert done[0].stat().st_mtime_ns == written
    assert study() == 0
    assert len(started) == 3
    for number in ("0", "5"):
        assert study("--only", number) == 1
        assert "Expected --only from 1 to 4, the number of runs" in capsys.readouterr().err


def test_one_run_ends_with_the_status_of_fit(monkeypatch) -> None:
    monkeypatch.setattr("lightning_pose.commands.fit.main", lambda command, words: 143)
    assert study("--only", "1") == 143


def test_tasks_that_start_at_the_same_moment_agree(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "study"
    ready = Barrier(16)

    def start(_: int) -> None:
        ready.wait()
        command._keep_record(folder, ["--config=base.yaml"], {"as_is": []})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(start, range(16)))
    assert json.loads((folder / "study.json").read_text())["arms"] == {"as_is": []}


def test_two_jobs_share_the_cores(started, monkeypatch) -> None:
    monkeypatch.setattr(command.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(command, "_run", lambda run, _: started.append(run.words) or "not started.")
    assert study("--jobs", "2") == 1
    assert len(started) == 4
    assert all("--threads=3" in words for words in started)


def test_a_run_that_another_process_trains_is_left_to_it(started, capsys) -> None:
    from filelock import FileLock

    write_study({"seeds": 1, "arms": {"as_is": None}})
    Path("checkpoints/weights/as_is").mkdir(parents=True)
    record = Path("checkpoints/weights/study.json")
    words = [f"--config={Path('base.yaml')}", *SHORT]
    record.write_text(json.dumps({"command": words, "arms": {"as_is": []}}))
    with FileLock("checkpoints/weights/as_is/seed_0.lock"):
        assert study() == 1
    assert not started
    assert "another process is training it" in capsys.readouterr().out


def test_other_settings_do_not_mix_with_the_runs_that_are_there(
    started, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(command, "_run", lambda run, _: started.append(run) or "not trained.")
    assert study() == 1
    more = {**STUDY, "seeds": 3, "arms": {**STUDY["arms"], "third": None}}
    write_study(more)  # More arms and seeds are added to the runs.
    assert study() == 1
    assert "9 runs, of which 0 have ended" in capsys.readouterr().out
    assert len(started) == 4 + 9
    write_study({**more, "arms": {**more["arms"], "as_is": "--trainer.max_epochs 3"}})
    assert study() == 1
    assert "found the arm as_is changed; choose another --output" in capsys.readouterr().err
    write_study(more)
    assert study("--model.optimizer.lr=0.1") == 1
    assert "changed; choose another --output" in capsys.readouterr().err
    assert len(started) == 4 + 9


def test_bad_input_is_one_sentence(started, capsys, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").touch()
    write_study({"arms": {"as_is": None}, "single_task": True})
    for words, sentence in (
        (["--study", "none.yaml"], "Expected a config file, found no 'none.yaml'"),
        (["--study", "weights.yaml"], "Expected configs with two heads or more for single_task"),
        (
            ["--study", "weights.yaml", "--config", "base.yaml", "--output", "used"],
            "Expected a new folder or that of a study, found used",
        ),
        (
            ["--study", "weights.yaml", "--config", "base.yaml", "--model.heads.mask=null"],
            "Expected configs with two heads or more for single_task in weights.yaml, found joints",
        ),
        (["--study", "weights.yaml", "--jobs", "0"], "Expected --jobs of 1 or more, found 0"),
    ):
        assert cli.main(["study", *words]) == 1
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
    assert not started
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["letter.txt"]


def test_a_terminated_study_ends_its_runs_and_begins_no_other(tmp_path, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    # Two processes that note their end at SIGTERM stand for the runs.
    program = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1], "ended").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1], "started").touch()
time.sleep(60)
"""
    folders = [tmp_path / str(number) for number in range(4)]
    started, start = [], subprocess.Popen

    def popen(words: Sequence[str], **options) -> subprocess.Popen:
        started.append(folder := folders[len(started)])
        folder.mkdir()
        return start([sys.executable, "-c", program, str(folder)], **options)

    monkeypatch.setattr(command.subprocess, "Popen", popen)

    def terminate() -> None:
        deadline = time.monotonic() + 30
        while sum((folder / "started").exists() for folder in folders) < 2:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(terminate)
        with pytest.raises(SystemExit) as stop:
            study("--jobs", "2")
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert started == folders[:2]
    assert all((folder / "ended").exists() for folder in started)


@pytest.mark.drill
def test_a_study_that_was_killed_goes_on_to_the_same_results(tmp_path, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    options = ["--study", "weights.yaml", "--config", "base.yaml", *SHORT, "--threads=1"]
    words = [sys.executable, "-m", "lightning_pose", "study", *options, "--jobs=2"]
    killed = subprocess.Popen([*words, "--output=killed"], start_new_session=True)
    folders = [Path("killed") / arm / f"seed_{seed}" for arm in STUDY["arms"] for seed in (0, 1)]
    while not any((folder / "result.json").is_file() for folder in folders):
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not all((folder / "result.json").is_file() for folder in folders)
    for output in ("killed", "whole"):
        assert subprocess.run([*words, f"--output={output}"], check=False).returncode == 0
    for folder in folders:
        whole = Path("whole", *folder.parts[1:])
        found, expected = (json.loads((run / "result.json").read_text()) for run in (folder, whole))
        assert found["metrics"] == expected["metrics"]
        assert found["steps"] == expected["steps"]
