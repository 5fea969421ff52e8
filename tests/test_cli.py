import subprocess
import sys
from pathlib import Path

import pytest

from lightning_pose import __version__
from lightning_pose.cli import main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("fit", "validate", "test", "predict"):
        assert f"\n  {command} " in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lightning_pose {__version__}\n"


def test_an_unknown_command_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == (
        "lightning: expected one of fit, validate, test and predict, found 'trian'; "
        "see lightning --help.\n"
    )


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


def test_help_of_ours_does_not_import_lightning() -> None:
    code = (
        "import sys; from lightning_pose.cli import main\n"
        "main(['--help'])\n"
        "try: main(['predict', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pytorch_lightning', 'torch', 'cv2'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
