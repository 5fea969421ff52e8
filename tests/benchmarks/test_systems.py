"""The arms of a study take turns, as they are trained, and the medians are what is saved."""

import json
import sys
from pathlib import Path

import pytest
import torch

from lightning_pose.commands.configs import find_config, read_config

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import systems

STUDY = """
seeds: 3
single_task: false
arms:
  plain: --model.optimizer.lr 0.5
  halved: --data.batch_size 4 --trainer.gradient_clip_val null
"""


def test_the_median_of_each_arm_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = [3.0, 10.0, 1.0, 30.0, 2.0, 20.0]
    seen: list[tuple[float, float | None, int, int]] = []

    class Loop:
        """Takes as long as it is told to."""

        def __init__(self, model, clip):
            self.rate, self.clip = model.configure_optimizers()["optimizer"].defaults["lr"], clip

        def seconds(self, batches):
            seen.append((self.rate, self.clip, len(next(iter(batches))), len(list(batches))))
            return times.pop(0)

    monkeypatch.setattr(systems, "BareLoop", Loop)
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    (tmp_path / "study.yaml").write_text(STUDY)
    words = ["--study", str(tmp_path / "study.yaml"), "--batches", "3"]
    words += ["--save", str(tmp_path / "speeds.json")]
    words += ["--config", "combined.yaml", "--config", "backbone/unet.yaml"]
    words += ["--data.batch_size", "8", "--data.input_spec.size", "[32,32]"]
    monkeypatch.setattr(sys, "argv", ["systems.py", *words])
    systems.main()
    assert json.loads((tmp_path / "speeds.json").read_text()) == {"plain": 2.0, "halved": 20.0}
    rate = read_config(find_config("combined.yaml"))["model"]["optimizer"]["init_args"]["lr"]
    steps = systems.WARM_UP + 3
    assert seen == [(0.5, 5.0, 8, steps), (rate, None, 4, steps)] * 3
    assert threads == [1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["plain", "4.0", "2.000", "300"]
    assert lines[-1].split() == ["halved", "0.2", "20.000", "30"]
