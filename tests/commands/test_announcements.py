import os
from pathlib import Path

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from lightning_pose.cli import main
from lightning_pose.commands import announcements
from lightning_pose.module import PoseModule
from lightning_pose.precision import AutoPrecision
from tests.callbacks.model import make_trainer


def test_the_parts_and_their_sizes_are_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = PoseModule.load_from_checkpoint(here / "best.ckpt")
    announcements.print_parts(model)
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
    ("plugin", "said"),
    [
        (AutoPrecision(), "Precision: 16-mixed on cpu, chosen by device."),
        (MixedPrecision("bf16-mixed", "cpu"), "Precision: bf16-mixed on cpu."),
    ],
)
def test_the_precision_is_announced_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    plugin: MixedPrecision,
    said: str,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(announcements, "choose_precision", lambda device: "16-mixed")
    trainer = make_trainer(plugins=[plugin])
    caplog.clear()
    announcements.report_precision(trainer)
    assert caplog.messages == [said]


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
