"""Settings of an allocator last as long as their process, so most of this runs in processes."""

import gc
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_pose.cli import main
from lightning_pose.commands import fit

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")

FAULTS = """
import ctypes, resource, sys
import torch
from lightning_pose.commands.memory import keep_freed_memory

# Without huge pages (PR_SET_THP_DISABLE), of which one fault brings as much as 512 others.
assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0
keep_freed_memory(torch.device(sys.argv[1]))
faults = []
for _ in range(40):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10_000_000)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[30:]), max(faults[30:]))  # At first, the heap grows a few times.
"""


def faults(device: str) -> tuple[int, int]:
    """Page faults for 40 MB that were freed before, of a training on a device: least and most."""
    command = [sys.executable, "-c", FAULTS, device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    least, most = done.stdout.split()
    return int(least), int(most)


@glibc
def test_freed_memory_is_used_again_without_page_faults() -> None:
    _, most = faults("cpu")
    assert most < 100


@glibc
def test_a_training_on_a_gpu_leaves_the_memory_as_it_is() -> None:
    least, _ = faults("cuda")
    assert least > 1000


GARBAGE = """
import gc, sys, weakref
from lightning_pose.commands.memory import freeze_objects

class Figure:
    def __init__(self):
        self.axes = [[self] for _ in range(1000)]

imported = [[] for _ in range(500_000)]
gc.collect()
if sys.argv[1] == "frozen":
    freeze_objects()
figures, most = weakref.WeakSet(), 0
for _ in range(100):
    figure = Figure()
    gc.collect(1)  # Only the oldest generation is searched seldom.
    figures.add(figure)
    most = max(most, len(figures))
print(most)
"""


@pytest.mark.parametrize(("objects", "few"), [("frozen", True), ("searched", False)])
def test_what_a_training_leaves_is_found_soon_where_all_else_is_frozen(objects: str, few: bool):
    command = [sys.executable, "-c", GARBAGE, objects]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 50) == few


def test_fit_asks_for_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(fit, "keep_freed_memory", asked.append)
    monkeypatch.setattr(fit, "freeze_objects", lambda: asked.append(gc.freeze()))
    monkeypatch.chdir(tmp_path)
    words = ["--config=combined.yaml", "--trainer.fast_dev_run=1", "--data.batch_size=2"]
    words += ["--trainer.accelerator=cpu"]
    assert main(["fit", *words]) == 0
    assert asked == [torch.device("cpu"), None]
    assert gc.get_freeze_count() == 0
