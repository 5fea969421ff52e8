"""A real `lightning fit`, killed: what is there afterwards, and that nothing keeps running."""

import sys
import time
from pathlib import Path

import pytest

from lightning_pose import checkpoint
from tests import kills, nan_callback
from tests.commands.project import rows

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(sys.platform != "linux", reason="It reads /proc, which only Linux has."),
]


def test_a_run_killed_anywhere_equals_one_that_was_not(tmp_path: Path) -> None:
    found = kills.chain(tmp_path, count=5)
    assert {kill.moment for kill in found} == set(kills.MOMENTS)
    assert {kill.status for kill in found} == {-9}


def test_two_processes_end_together_and_continue_as_if_nothing_had_been(tmp_path: Path) -> None:
    terminated, killed = kills.chain(tmp_path, count=2, processes=2)
    assert terminated.status == 143
    assert "Traceback" not in terminated.printed
    # The first process where the second was killed, or the other way round.
    assert killed.status != 0
    assert "Traceback" not in killed.printed
    # From the process that is left, or from Lightning, which looks after the others.
    reasons = ("found that another one has ended", "terminated with code -9")
    assert any(reason in killed.printed for reason in reasons)


def test_the_reason_of_one_process_is_not_buried_by_the_other(tmp_path: Path) -> None:
    kills.prepare(tmp_path)
    image = tmp_path / "lspet" / "images" / "im00007.jpg"
    image.write_bytes(image.read_bytes()[:600])
    running = kills.start(tmp_path, "damaged", processes=2)
    try:
        assert running.wait(timeout=300) != 0
    finally:
        kills.end(running)
    printed = (tmp_path / "damaged.txt").read_text()
    assert "Traceback" not in printed
    assert "Expected a whole image in lspet/images/im00007.jpg" in printed


def has_logged(runs: Path, step: int) -> bool:
    """Whether the only run has logged the loss of a step."""
    found = [row for path in runs.glob("*/metrics.csv") for row in rows(path)]
    return any(row.get("step") == str(step) and row.get("train/loss") for row in found)


def test_all_processes_end_where_the_loss_of_one_is_nan(tmp_path: Path) -> None:
    kills.prepare(tmp_path)
    callback = "--trainer.callbacks=tests.nan_callback.NaNInSecondProcess"
    running = kills.start(tmp_path, "diverged", 2, callback)
    began = time.monotonic()
    try:
        while not has_logged(tmp_path / "diverged" / "tiny", nan_callback.STEP - 1):
            assert time.monotonic() - began < 300, "no step was logged in 300 s"
            assert running.poll() is None, (tmp_path / "diverged.txt").read_text()[-3000:]
            time.sleep(0.05)
        assert kills.wait_for_all(running, "the last finite loss") == 1
    finally:
        kills.end(running)
    printed = (tmp_path / "diverged.txt").read_text()
    assert "Traceback" not in printed
    assert printed.splitlines()[-1].startswith(
        f"lightning fit: Expected finite losses, found NaN or infinity in mask at step "
        f"{nan_callback.STEP};"
    )
    (last,) = tmp_path.glob("diverged/tiny/*/last.ckpt")
    saved = checkpoint.read(last)
    assert saved["global_step"] == nan_callback.STEP
    assert all(value.isfinite().all() for value in saved["state_dict"].values())
