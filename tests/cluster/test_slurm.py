"""The shipped files for clusters, submitted to a real Slurm, or with stand-ins for its commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lightning_pose.commands.configs import SHIPPED_CONFIGS
from tests.cluster import slurm
from tests.commands.test_resume import assert_equal, content

ROOT = Path(__file__).parents[2]
JOBS = SHIPPED_CONFIGS / "cluster"

# Dropout, augmentation, a worker, a validation within the epoch, and several epochs.
CONFIG = """
model:
  backbone: {class_path: UNet, init_args: {width: 2, dropout: 0.3}}
  heads:
    mask: {class_path: MaskHead}
    heatmap: {class_path: HeatmapHead}
  main_head: heatmap
  lr_scheduler: {class_path: WarmupCosine}
  lr_interval: step
data:
  class_path: SyntheticDataModule
  init_args:
    {train_size: 48, val_size: 4, batch_size: 4, num_workers: 1, input_spec: {size: [32, 32]}}
trainer: {max_epochs: 2, val_check_interval: 6, log_every_n_steps: 1}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    arms = {"as_is": None, "fast": "--model.optimizer.lr 0.01"}
    (tmp_path / "arms.yaml").write_text(json.dumps({"seeds": 1, "arms": arms}))
    return tmp_path


@pytest.fixture
def stub(tmp_path: Path) -> Callable[..., tuple[int, list[str]]]:
    """Run a job file with stand-ins that only write down how they are called."""
    calls = tmp_path / "calls"
    for name in ("srun", "scontrol"):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        status = '"$STATUS"' if name == "srun" else "0"
        script.write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\nexit {status}\n')
        script.chmod(0o755)

    def run(job: str, status: int, *words: str) -> tuple[int, list[str]]:
        calls.unlink(missing_ok=True)
        given = {"SLURM_JOB_ID": "7", "SLURM_NNODES": "3", "SLURM_NTASKS_PER_NODE": "2"}
        given |= {"SLURM_CPUS_PER_TASK": "5", "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "4"}
        given |= {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "STATUS": str(status)}
        done = subprocess.run(["bash", JOBS / job, *words], env=given, check=False)
        return done.returncode, calls.read_text().splitlines()

    return run


@pytest.mark.parametrize(("job", "name"), [("fit.sbatch", "7"), ("study.sbatch", "6_4")])
def test_a_job_requeues_itself_if_its_run_was_stopped(stub, job: str, name: str) -> None:
    for status in (0, 1, 137, 138, 143):
        found, (_, *requeued) = stub(job, status)
        assert found == status
        # 128 and the numbers of SIGUSR1 and SIGTERM; 137 is that of a lack of memory.
        assert requeued == ([f"scontrol requeue {name}"] if status in (138, 143) else []), status


def test_a_job_passes_on_what_slurm_and_the_user_say(stub) -> None:
    _, (call,) = stub("fit.sbatch", 0, "--config", "two words.yaml")
    assert "fit --trainer.enable_progress_bar false --config two words.yaml" in call
    assert "--cpus-per-task=5" in call
    assert "--trainer.num_nodes 3 --trainer.devices 2 --run job_7 --ckpt_path auto" in call
    _, (call,) = stub("study.sbatch", 0, "--study", "arms.yaml")
    assert "study --only 4 --study arms.yaml --trainer.devices 2" in call


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    found = slurm.clean_environment(Path(sys.executable))
    return {**found, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[Callable[..., str]]:
    if absent := slurm.missing():
        pytest.skip(f"Slurm is not installed here: no {', '.join(absent)}")
    with slurm.running(environment) as run:
        yield run


@pytest.mark.drill
def test_a_job_at_the_end_of_its_time_continues_to_the_same_result(
    cluster, environment, project: Path
) -> None:
    words = ["--config", "tiny.yaml", "--save_every_n_steps", "3", "--threads", "1"]
    small = ["--ntasks-per-node=2", "--gpus-per-node=2", "--cpus-per-task=1", "--time=10"]
    job = cluster("sbatch", "--parsable", *small, JOBS / "fit.sbatch", *words, cwd=project)
    run = project / "checkpoints" / "tiny" / f"job_{job}"
    slurm.wait_for((run / "last.ckpt").is_file, "a first checkpoint")
    cluster("scancel", "--signal=USR1", job)
    log = project / f"lightning_pose_{job}.out"
    slurm.wait_for((run / "result.json").is_file, f"the run to end: {log}")
    slurm.wait_for(lambda: not cluster("squeue", "--noheader"), "the job to end")
    assert "Restarts=1 " in cluster("scontrol", "show", "job", job)
    assert f"{run.name} continues after step" in log.read_text()
    assert [path.name for path in run.parent.iterdir()] == [run.name]

    fit = [sys.executable, "-m", "lightning_pose", "fit", *words, "--run", "whole"]
    alone = ["--trainer.devices", "2", "--trainer.accelerator", "cpu"]
    subprocess.run([*fit, *alone], cwd=project, env=environment, check=True, capture_output=True)
    assert_equal(content(run), content(run.parent / "whole"))


@pytest.mark.drill
def test_the_tasks_of_an_array_train_the_runs_of_a_study(cluster, project: Path) -> None:
    words = ["--study", "arms.yaml", "--config", "tiny.yaml", "--trainer.max_epochs", "1"]
    small = ["--array=1-2", "--gpus-per-node=1", "--cpus-per-task=1", "--time=10"]
    job = cluster("sbatch", "--parsable", *small, JOBS / "study.sbatch", *words, cwd=project)
    study = project / "checkpoints" / "arms"
    runs = [study / arm / "seed_0" for arm in ("as_is", "fast")]
    slurm.wait_for((runs[1] / "config.yaml").is_file, "the second run to begin")
    cluster("scancel", "--signal=USR1", f"{job}_2")
    slurm.wait_for(lambda: all((run / "result.json").is_file() for run in runs), "both to end")
    slurm.wait_for(lambda: not cluster("squeue", "--noheader"), "the jobs to end")
    restarts = [cluster("scontrol", "show", "job", f"{job}_{task}") for task in (1, 2)]
    assert ["Restarts=1 " in text for text in restarts] == [False, True]
