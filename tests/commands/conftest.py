"""A project with one finished run, trained once for all tests of the commands."""

from pathlib import Path

import pytest

from lightning_pose.cli import main
from tests.commands.project import CONFIG
from tests.data.lspet import write_lspet


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a config, and one finished run."""
    folder = tmp_path_factory.mktemp("project")
    write_lspet(folder / "lspet", count=16)
    (folder / "tiny.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "--config", "tiny.yaml", "--run", "first"]) == 0
    return folder


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the finished run; the working directory is the project."""
    monkeypatch.chdir(project)
    return project / "checkpoints" / "tiny" / "first"
