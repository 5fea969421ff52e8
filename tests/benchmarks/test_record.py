"""What a benchmark printed is kept with the machine, and without what nobody else needs to know."""

import platform
import sys

import pytest
import torch

from benchmarks import record


@pytest.fixture
def benchmarks(tmp_path, monkeypatch):
    (tmp_path / "speed.py").write_text(
        "import sys\nprint('images/s', 1 / 2, *sys.argv[1:])\nsys.exit('slow' in sys.argv)\n"
    )
    monkeypatch.setattr(record, "BENCHMARKS", tmp_path)
    return tmp_path


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["record.py", *words])
    return record.main()


def test_each_run_adds_a_section(benchmarks, monkeypatch, capsys):
    assert run(monkeypatch, "speed.py", "--root", "/data/of me/lspet", "--steps", "3") == 0
    assert run(monkeypatch, "speed.py") == 0
    assert capsys.readouterr().out.startswith("images/s 0.5 --root /data/of me/lspet")
    text = (benchmarks / "results" / "speed.md").read_text()
    assert text.startswith("# benchmarks/speed.py\n")
    assert text.count("# benchmarks/speed.py\n") == 1
    assert text.count("## ") == text.count("images/s 0.5") == text.count("cores") == 2
    assert f"torch {torch.__version__.split('+')[0]}" in text
    assert "$ python benchmarks/speed.py --root" in text
    assert platform.node() not in text


def test_a_benchmark_that_fails_keeps_nothing(benchmarks, monkeypatch):
    assert run(monkeypatch, "speed.py", "slow") == 1
    assert not (benchmarks / "results").exists()


def test_an_unknown_benchmark_is_refused(benchmarks, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "sped.py")
    assert "found sped.py; choose one of speed.py." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--root=/data/lspet", "--root=lspet"),
        ("/home/me/runs/last/: 0.5", "last: 0.5"),
        ("fit / bare, images/s, 1/2, and/or", "fit / bare, images/s, 1/2, and/or"),
        ("checkpoints/combined/run", "checkpoints/combined/run"),
        ("('/a/b.c', '/d')", "('b.c', 'd')"),
    ],
)
def test_absolute_paths_lose_their_folders(text, expected):
    assert record.without_folders(text) == expected
