"""Each row of the benchmark is one `lightning validate` with the decoding that it names."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import decoding


def test_each_decoding_is_scored_with_and_without_the_flip_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def validate(words: list[str]) -> int:
        options = dict(word.removeprefix("--").split("=", 1) for word in words[1:])
        asked.append((words[0], options))
        metrics = json.loads(options["model.metrics"])
        results = {
            f"val/heatmap/{name}": metric["init_args"]["threshold"] + len(asked) / 100
            for name, metric in metrics.items()
        }
        text = json.dumps({"results": results})
        (tmp_path / f"validate_{len(asked)}.json").write_text(text)
        return 0

    monkeypatch.setattr(decoding, "lightning", validate)
    monkeypatch.setattr(sys, "argv", ["decoding.py", str(tmp_path), "--data.num_workers=0"])
    decoding.main()
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["decoding", "flip", "test", "PCK@0.05", "PCK@0.1", "PCK@0.2"]
    assert rows[0].split() == ["argmax", "no", "0.0600", "0.1100", "0.2100"]
    assert rows[-1].split() == ["expectation", "yes", "0.1300", "0.1800", "0.2800"]
    key = "model.heads.heatmap.init_args.decoding"
    flips = [(options[key], options["flip"]) for _, options in asked]
    assert flips[:3] == [("argmax", "false"), ("argmax", "true"), ("quarter", "false")]
    assert all(command == "validate" for command, _ in asked)
    assert all(options["ckpt_path"] == str(tmp_path / "best.ckpt") for _, options in asked)
    assert all(options["data.num_workers"] == "0" for _, options in asked)
