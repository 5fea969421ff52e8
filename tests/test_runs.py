import os
from pathlib import Path

import pytest

from lightning_pose import runs
from lightning_pose.errors import InputError


@pytest.fixture(autouse=True)
def released() -> object:
    yield
    runs.release_run()


def test_configs_are_found_here_then_in_configs_then_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs.find_config("combined.yaml") == runs.SHIPPED_CONFIGS / "combined.yaml"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "combined.yaml").touch()
    assert runs.find_config("combined.yaml") == Path("configs/combined.yaml")
    (tmp_path / "combined.yaml").touch()
    assert runs.find_config("combined.yaml") == Path("combined.yaml")
    assert runs.find_config(str(tmp_path / "combined.yaml")) == tmp_path / "combined.yaml"


def test_a_missing_config_lists_near_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no 'conbined.yaml' .* did you mean combined.yaml"):
        runs.find_config("conbined.yaml")


def test_a_config_in_this_folder_is_near_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(InputError, match=r"did you mean mine\.yaml"):
        runs.find_config("mime.yaml")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../b", "/tmp/b"])
def test_a_run_is_one_folder_below_its_experiment(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="--run as the name of one folder"):
        runs.claim_run(tmp_path, "combined", name)
    assert not any(tmp_path.iterdir())


def test_an_experiment_stays_below_the_root(tmp_path: Path) -> None:
    assert runs.claim_run(tmp_path, "sweep/one", "a") == tmp_path / "sweep" / "one" / "a"
    for name in ("", ".", "../b", "a/../../b", "/tmp/b"):
        with pytest.raises(InputError, match="--experiment as a folder below"):
            runs.claim_run(tmp_path, name)


def begin(run: Path, *more: str) -> set[str]:
    names = {"config.yaml", "hparams.yaml", "events.out.tfevents.1.host", *more}
    for name in names:
        (run / name).touch()
    return names


def test_a_run_that_failed_before_its_first_step_leaves_its_name_free(tmp_path: Path) -> None:
    for _ in range(2):
        run = runs.claim_run(tmp_path, "combined", "mine")
        begin(run)
        runs.discard_run()
        assert not run.exists()
    runs.discard_run()  # There is nothing left to remove.


@pytest.mark.parametrize("name", ["metrics.csv", "best.ckpt", "notes.txt", "config.yaml.bak"])
def test_a_folder_with_anything_else_in_it_stays_whole(tmp_path: Path, name: str) -> None:
    run = runs.claim_run(tmp_path, "combined", "mine")
    names = begin(run, name)
    runs.discard_run()
    assert {path.name for path in run.iterdir()} == names


def test_a_run_that_has_begun_or_ended_stays(tmp_path: Path) -> None:
    for number, end in enumerate((runs.begin_run, runs.release_run)):
        run = runs.claim_run(tmp_path, "combined", str(number))
        begin(run)
        end()
        runs.discard_run()
        assert (run / "config.yaml").is_file()
        runs.release_run()


def test_only_the_process_that_claimed_a_folder_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.claim_run(tmp_path, "combined", "mine")
    runs.begin_run()  # Forgets the claim, as if another process had made it; the variable stays.
    assert os.environ["LIGHTNING_POSE_RUN"] == str(run)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert runs.claim_run(tmp_path, "combined", "mine") == run
    runs.discard_run()
    assert run.is_dir()


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    folders = {runs.claim_run(tmp_path, "combined") for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path / "combined" for folder in folders)


def test_a_named_run_is_not_taken_twice(tmp_path: Path) -> None:
    first = runs.claim_run(tmp_path, "combined", "mine")
    (first / "best.ckpt").write_text("precious")
    with pytest.raises(InputError, match="choose another --run"):
        runs.claim_run(tmp_path, "combined", "mine")
    assert (first / "best.ckpt").read_text() == "precious"


def test_a_process_for_another_device_gets_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.claim_run(tmp_path, "combined")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert runs.claim_run(tmp_path, "combined") == first


def test_the_next_run_of_a_process_with_many_devices_gets_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.claim_run(tmp_path, "combined", "first")
    monkeypatch.setenv("LOCAL_RANK", "0")  # Lightning sets it when it starts the others.
    runs.release_run()
    assert runs.claim_run(tmp_path, "combined", "second") != first


def test_a_process_that_another_launcher_started_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert runs.claim_run(tmp_path, "combined", "mine") == tmp_path / "combined" / "mine"
    assert not any(tmp_path.iterdir())
    monkeypatch.setenv("SLURM_PROCID", "0")
    runs.claim_run(tmp_path, "combined", "mine")
    runs.release_run()
    monkeypatch.setenv("SLURM_PROCID", "1")
    # The first process was quicker.
    assert runs.claim_run(tmp_path, "combined", "mine") == tmp_path / "combined" / "mine"


def test_the_config_beside_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected config"):
        runs.config_of(tmp_path / "best.ckpt")
    (tmp_path / "config.yaml").touch()
    assert runs.config_of(tmp_path / "best.ckpt") == tmp_path / "config.yaml"
