import os
from pathlib import Path

import pytest
import torch

from lightning_pose.cli import main
from lightning_pose.commands.announcements import print_parts
from lightning_pose.module import PoseModule


def test_the_parts_and_their_sizes_are_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = PoseModule.load_from_checkpoint(here / "best.ckpt")
    print_parts(model)
    lines = capsys.readouterr().out.replace("┃", "│").splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    header, *parts, (last, _, total) = cells
    assert header == ["part", "class", "parameters"]
    assert last == "all"
    heads = {f"heads.{name}": type(head).__name__ for name, head in model.heads.items()}
    expected = {"backbone": "UNet", **heads, "weighting": "FixedWeighting"}
    assert {name: kind for name, kind, _ in parts} == expected
    sizes = [int(size.replace(",", "")) for *_, size in parts]
    everything = sum(parameter.numel() for parameter in model.parameters())
    assert sum(sizes) == int(total.replace(",", "")) == everything


@pytest.mark.parametrize(
    ("load", "threads", "said"), [(0.9, 2, True), (0.9, 1, False), (0.1, 2, False)]
)
def test_a_busy_machine_is_announced(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    load: float,
    threads: int,
    said: bool,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(os, "getloadavg", lambda: (load * (os.cpu_count() or 1), 9.0, 9.0))
    short = ["--trainer.fast_dev_run", "true", "--run", f"busy_{load}_{threads}"]
    assert main(["fit", "--config", "tiny.yaml", *short]) == 0
    assert ("--threads 1 each" in caplog.text) == said
    assert ("other programs use the CPU" in caplog.text) == (load > 0.5)
