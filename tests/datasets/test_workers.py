import os

import pytest

from lightning_pose.datasets.workers import in_workers
from lightning_pose.errors import DataError, InputError


def process(_: int) -> int:
    return os.getpid()


def refuse(index: int) -> int:
    if index in (7, 30):
        raise DataError(f"Expected a: b, found {index}; do c.") from OSError("the cause")
    return index


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_results_come_in_order(workers: int, count: int) -> None:
    found = list(in_workers(lambda index: index**2, count, workers, "Squares"))
    assert found == [index**2 for index in range(count)]


def test_workers_are_other_processes() -> None:
    assert set(in_workers(process, 20, 0, "")) == {os.getpid()}
    workers = set(in_workers(process, 20, 2, ""))
    assert len(workers) == 2
    assert os.getpid() not in workers


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_error_keeps_its_kind_and_sentence(workers: int) -> None:
    found = []
    with pytest.raises(InputError, match=r"^Expected a: b, found 7; do c\.$") as caught:
        found.extend(in_workers(refuse, 40, workers, ""))
    assert type(caught.value) is DataError
