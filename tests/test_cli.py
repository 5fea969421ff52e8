import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lightning_pose import __version__
from lightning_pose.checkpoint import differences
from lightning_pose.cli import COMMANDS, main
from lightning_pose.commands import predict
from lightning_pose.errors import DataError


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["-h"], ["--help"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        for name, command in COMMANDS.items():
            assert f"\n  {name} " in text
            assert command.help in text
            assert f"lightning {name} {command.example}\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module(f"lightning_pose.commands.{COMMANDS[name].module}")
    with pytest.raises(SystemExit) as stop:
        module.main(name, ["--help"])
    assert stop.value.code == 0
    usage, words, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: lightning {name} ")
    assert len(usage.splitlines()) < 20, "it fits on a screen"
    assert words[0].isupper(), "what the command does, in a sentence"
    assert "." in words


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lightning_pose {__version__}\n"


def test_an_unknown_command_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == (
        f"lightning: expected one of {', '.join(COMMANDS)}, found 'trian'; see lightning --help.\n"
    )


def test_a_command_gets_its_name_and_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(predict, "main", lambda *arguments: given.append(arguments) or 7)
    assert main(["predict", "--images", "a.jpg"]) == 7
    assert given == [("predict", ["--images", "a.jpg"])]


def test_what_a_stranger_named_cannot_write_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b[2J\nlightning predict: all is well\u202e.jpg"
    words = ["predict", "--ckpt_path", "c", "--images", name, "--output", str(tmp_path / "o")]
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert r"at a\x1b[2J lightning predict: all is well\u202e.jpg;" in line


def test_what_a_checkpoint_names_is_escaped_where_it_is_printed() -> None:
    forged = "lightning_pose.\x1b[2J\nlightning fit: all is well"
    (phrase,) = differences({"class_path": "ours"}, {"class_path": forged})
    assert r"lightning_pose.\x1b[2J\nlightning fit: all is well" in phrase


def test_files_that_cannot_be_used_get_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["fit", "--config", "a" * 300],
        ["validate", "--ckpt_path", "a" * 300],
        ["predict", "--ckpt_path", "c", "--images", "a" * 300, "--output", str(tmp_path / "o")],
    ):
        assert main(words) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"lightning {words[0]}: Expected to read and write files, found: ")


@pytest.mark.parametrize(
    ("error", "status"),
    [(DataError("Expected a, found b; do c."), 1), (KeyboardInterrupt(), 130)],
)
def test_what_stops_a_command_becomes_a_status(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object) -> int:
        raise error

    monkeypatch.setattr(predict, "main", stop)
    assert main(["predict"]) == status
    sentence = str(error) or "interrupted."
    assert capsys.readouterr().err == f"lightning predict: {sentence}\n"


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ValueError("my own mistake")

    monkeypatch.setattr(predict, "main", broken)
    with pytest.raises(ValueError, match="my own mistake"):
        main(["predict"])


def test_help_of_ours_does_not_import_lightning() -> None:
    code = (
        "import sys; from lightning_pose.cli import main\n"
        "main(['--help'])\n"
        "try: main(['predict', '--help'])\n"
        "except SystemExit: pass\n"
        "main(['predict', '--ckpt_path', 'c', '--images', '.', '--output', '.'])\n"
        "heavy = {'pytorch_lightning', 'torch', 'cv2', 'jsonargparse'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Expected a new or empty folder" in done.stderr
