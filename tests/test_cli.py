import subprocess
import sys

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
