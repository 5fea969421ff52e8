"""Times come from the events, and count from the beginning of the run."""

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from benchmarks import learning_curve
from benchmarks.learning_curve import read_curve
from lightning_pose.errors import DataError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Events of a run: a training loss at its start, and a validation after 1, 2 and 4 minutes."""
    with SummaryWriter(tmp_path) as writer:
        begin = 1_000_000.0
        writer.add_scalar("train/loss", 9.0, 0, walltime=begin)
        for step, minutes, value in ((9, 1, 30.0), (19, 2, 20.0), (29, 4, 25.0)):
            writer.add_scalar("val/joints/RMSE", value, step, walltime=begin + 60 * minutes)
    return tmp_path


def test_a_curve_has_the_time_the_step_and_the_value(run, monkeypatch, capsys) -> None:
    found = read_curve(run, "val/joints/RMSE")
    # The writer's own first event is of today.
    assert [point.step for point in found] == [9, 19, 29]
    assert [point.value for point in found] == [30.0, 20.0, 25.0]
    assert found[2].minutes - found[0].minutes == pytest.approx(3)
    monkeypatch.setattr("sys.argv", ["x", str(run), "--metric", "val/joints/RMSE"])
    learning_curve.main()
    assert capsys.readouterr().out.count("\n") == 5


def test_a_metric_that_was_not_logged_is_named(run, tmp_path) -> None:
    with pytest.raises(DataError, match=r"events of val/main in .*, found val/joints/RMSE; choose"):
        read_curve(run, "val/main")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none; choose"):
        read_curve(tmp_path / "empty", "val/main")
