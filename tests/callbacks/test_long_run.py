import itertools
import time
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl

from lightning_pose.callbacks import LongRunNotice


def train(
    monkeypatch: pytest.MonkeyPatch, seconds: float, steps: float, batches: int = 80
) -> LongRunNotice:
    """Batches that take this long each, in a training of this many steps of two batches."""
    clock = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: seconds * next(clock))
    trainer = Mock(spec=pl.Trainer)
    trainer.estimated_stepping_batches, trainer.global_step = steps + 10, 10
    trainer.accumulate_grad_batches = 2
    notice = LongRunNotice()
    for _ in range(batches):
        notice.on_train_batch_end(trainer)
    return notice


def test_hours_are_announced_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train(monkeypatch, seconds=1.5, steps=9600)
    (record,) = caplog.records
    assert "At 3.0 s per step, the 9600 steps of this training take about 8 hours" in record.message


@pytest.mark.parametrize(("seconds", "steps"), [(1.5, 2300), (0.1, 9600), (40.0, float("inf"))])
def test_minutes_and_an_unknown_end_are_not(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    steps: float,
) -> None:
    caplog.set_level("INFO")
    train(monkeypatch, seconds, steps, batches=400)
    assert not caplog.records


def test_nothing_is_said_before_the_first_half_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train(monkeypatch, seconds=10.0, steps=9600, batches=3)
    assert not caplog.records
    train(monkeypatch, seconds=10.0, steps=9600, batches=4)
    assert len(caplog.records) == 1
