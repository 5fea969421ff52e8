"""metrics.csv: a table of everything that a run logs, which a resumed run continues."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from typing_extensions import override

from lightning_pose.atomic import replacing

__all__ = ["MetricsFile"]


class MetricsFile(Logger):
    """Writes a row to metrics.csv whenever something is logged.

    Lightning's CSVLogger deletes the rows of a run that is resumed, and keeps up to a hundred steps
    in memory, which a killed run loses.

    Args:
        folder: The folder for metrics.csv.
        steps: The optimiser steps of the checkpoint from which the run resumes in this folder. What
            the run had logged after them is removed, because it is logged again.
    """

    def __init__(self, folder: Path, steps: int | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._path = folder / "metrics.csv"
        self._steps = steps
        self._columns: list[str] | None = None

    @property
    @override
    def name(self) -> str:
        return "csv"

    @property
    @override
    def version(self) -> str:
        return ""

    @property
    @override
    def save_dir(self) -> str:
        return str(self._folder)

    @override
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kw: Any) -> None:
        """Nothing: the config has a file of its own."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._columns is None:
            self._columns = self._keep_earlier_rows()
        row = {**metrics, "step": step}
        new = set(row) - set(self._columns)
        if new:
            self._columns = sorted({*self._columns, *new})
            self._rewrite(self._read())
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _keep_earlier_rows(self) -> list[str]:
        """Remove the rows from the step on where the run resumes; return the columns."""
        if self._steps is None or not self._path.is_file():
            return []
        rows = self._read()
        self._columns = list(rows[0]) if rows else []
        # A row that was cut off where the process was killed is one of the last.
        whole = (row for row in rows if None not in row.values() and row["step"].isdigit())
        self._rewrite([row for row in whole if int(row["step"]) < self._steps])
        return self._columns

    def _read(self) -> list[dict[str, str]]:
        if not self._path.is_file():
            return []
        with self._path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        """Write the table as a whole, with the present columns."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns or [])
        writer.writeheader()
        writer.writerows(rows)
        with replacing(self._path) as file:
            file.write(text.getvalue().encode())
