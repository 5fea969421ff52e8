from pathlib import Path

import numpy as np
import pytest

from lightning_pose.datasets.labels import LabelColumn, parse_label
from lightning_pose.errors import DataError


@pytest.mark.parametrize(
    ("cell", "value"),
    [("2", 2.0), (" -2.5e1 ", -25.0), ("", None), ("  ", None), ("golf", "golf"), ("1_0", "1_0")],
)
def test_a_cell_is_a_number_a_class_or_unknown(cell: str, value: object) -> None:
    found = parse_label(cell)
    assert found == value
    assert type(found) is type(value)


def test_a_label_that_nobody_has_is_a_number() -> None:
    column = LabelColumn(Path("labels.csv"), "age")
    column.append(2, None)
    assert column.classes == []
    assert np.isnan(column.values()).tolist() == [True]


@pytest.mark.parametrize(("first", "second"), [(3.0, "old"), ("old", 3.0), (3.0, float("inf"))])
def test_what_cannot_be_used_is_refused_and_not_kept(
    first: float | str, second: float | str
) -> None:
    column = LabelColumn(Path("labels.csv"), "age")
    column.append(2, first)
    with pytest.raises(DataError, match=r"the label 'age' in line 3 of labels\.csv"):
        column.append(3, second)
    assert len(column.values()) == 1
