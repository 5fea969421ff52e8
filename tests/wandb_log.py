"""Reads the log of an offline run of W&B, as `wandb sync` would send it."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _HEADER = 2**15, struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


@dataclass
class WandbLog:
    """What a segment of a run contains.

    Attributes:
        folder: The folder of the segment.
        run: The record with which it starts: id, name, whether it goes on with an earlier one.
        config: The run's config.
        metrics: How each metric is defined, by its name.
        history: The logged rows.
        summary: The summary; nested values by dotted keys.
        artifacts: The paths in each artifact, by its type.
    """

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)

    def values(self, key: str) -> dict[int, Any]:
        """The logged values of a metric by optimiser step, each of which occurs once."""
        rows = [(row["trainer/global_step"], row[key]) for row in self.history if key in row]
        assert len(dict(rows)) == len(rows), f"{key} has two values for a step"
        return dict(rows)


def read_wandb(folder: Path) -> WandbLog:
    """Read a folder such as wandb/offline-run-20261121_103000-1a2b3c4d."""
    (path,) = folder.glob("*.wandb")
    log = WandbLog(folder)
    for content in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        match record.WhichOneof("record_type"):
            case "run":
                log.run = record.run
            case "config":
                log.config |= {
                    item.key: json.loads(item.value_json) for item in record.config.update
                }
            case "metric":
                log.metrics[record.metric.name] = record.metric
            case "history":
                log.history.append(_values(record.history.item))
            case "summary":
                log.summary |= _values(record.summary.update)
            case "artifact":
                contents = record.artifact.manifest.contents
                log.artifacts[record.artifact.type] = [entry.path for entry in contents]
    return log


def _values(items: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[bytes]:
    """The records of LevelDB's log format, in which W&B writes, after a header of 7 bytes."""
    assert data.startswith(b":W&B")
    place, whole = 7, b""
    while place + _HEADER.size <= len(data):
        if _BLOCK - place % _BLOCK < _HEADER.size:  # The rest of a block is empty.
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        whole += data[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            yield whole
            whole = b""
