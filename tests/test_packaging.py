"""The wheel is complete, and pyproject.toml, the constraints and the checks agree."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lightning_pose

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

NOT_IMPORTED = {
    "matplotlib": "torchmetrics imports it, for a metric's plot()",
    "tensorboard": "torch.utils.tensorboard imports it, for Lightning's TensorBoardLogger",
    "wandb": "Lightning's WandbLogger imports it",
}
"""Dependencies that no file of ours imports, and what imports them."""


def requirements(*extras: str) -> dict[str, Requirement]:
    """The requirements of the project and of some of its extras, by distribution."""
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    found = [Requirement(text) for text in texts]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def imported() -> dict[str, str]:
    """The third-party packages that lightning_pose imports, each with a file that imports it."""
    found = {}
    for path in (ROOT / "lightning_pose").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {
        name: path
        for name, path in found.items()
        if name not in sys.stdlib_module_names and name != "lightning_pose"
    }


@pytest.fixture(scope="module")
def providers() -> dict[str, set[str]]:
    """The distributions that provide what we import; its own name if none is installed."""
    installed = metadata.packages_distributions()  # Reads the files of all of them.
    return {
        package: {canonicalize_name(name) for name in installed.get(package, [package])}
        for package in imported()
    }


def test_everything_imported_is_declared(providers: dict[str, set[str]]):
    declared = set(requirements("imagenet", "dashboard"))
    missing = {name: path for name, path in imported().items() if not providers[name] & declared}
    assert not missing, f"Imported, but missing from pyproject.toml: {missing}"


def test_everything_declared_is_imported(providers: dict[str, set[str]]):
    used = set().union(*providers.values())
    idle = set(requirements("imagenet", "dashboard")) - used - set(NOT_IMPORTED)
    assert not idle, f"In pyproject.toml, but neither imported nor in NOT_IMPORTED: {idle}"


def pins() -> dict[str, str]:
    """The versions in constraints.txt, by distribution."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_constraints_record_a_version_that_is_allowed():
    needed = requirements("imagenet", "dashboard", "test", "dev")
    del needed[PROJECT["name"]]
    for name, requirement in needed.items():
        assert name in pins(), f"No line for {name}; run .ci/constraints.py"
        assert requirement.specifier.contains(pins()[name]), f"{requirement} excludes the pin"


def test_constraints_suit_every_machine():
    for name, version in pins().items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert re.fullmatch(r"[\d.]+(\w+\d+)?", version), f"{name} {version} is no public version"
        assert not re.match("nvidia-|cuda-|triton", name), f"{name} fits one kind of machine only"


def test_the_lowest_versions_are_those_of_pyproject():
    """The gate's leg "lowest versions" installs every lower bound, and nothing that is excluded."""
    script = [sys.executable, str(ROOT / ".ci" / "lowest.py")]
    lines = subprocess.run(script, check=True, capture_output=True, text=True).stdout.splitlines()
    lowest = {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}
    needed = requirements("test")
    assert lowest.keys() == needed.keys()
    for name, requirement in needed.items():
        assert requirement.specifier.contains(lowest[name])
        bounds = {s.version for s in requirement.specifier if s.operator == ">="}
        assert bounds == {lowest[name]}


def test_pre_commit_runs_the_checks_of_the_gate():
    """Hooks of another repository would bring their own versions of the tools."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    (repository,) = config["repos"]
    entries = {hook["entry"] for hook in repository["hooks"]}
    assert entries == {"./check format", "./check lint", "./check types"}
    # Each hook checks the whole project, as the gate does, and not only the files of one commit.
    assert not any(hook["pass_filenames"] for hook in repository["hooks"])


def test_the_release_recipe_names_files_that_exist():
    text = (ROOT / "docs" / "release.md").read_text()
    paths = set(re.findall(r"(?:\.ci|tests|lightning_pose)/[\w.]+", text))
    assert {".ci/run", ".ci/wheel", ".ci/smoke", ".ci/constraints.py"} <= paths
    assert not {path for path in paths if not (ROOT / path).is_file()}


def test_every_file_is_short():
    """A file of 300 lines can be read in one sitting."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / "lightning_pose").rglob("*.py")
    }
    long = {path: length for path, length in lengths.items() if length > 300}
    assert not long, f"Expected at most 300 lines in a file, found {long}; split them"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, as pip would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_the_wheel_has_the_package_and_its_configs(wheel):
    names = set(wheel.namelist())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "lightning_pose").rglob("*.py")}
    configs = {
        f"lightning_pose/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.*")
    }
    assert "lightning_pose/configs/combined.yaml" in configs
    assert "lightning_pose/configs/cluster/fit.sbatch" in configs
    assert sources | configs | {"lightning_pose/py.typed"} <= names


def test_the_wheel_has_nothing_else(wheel):
    information = f"{PROJECT['name'].replace('-', '_')}-{lightning_pose.__version__}.dist-info"
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"lightning_pose", information}
    kinds = {Path(name).suffix for name in wheel.namelist() if name.startswith("lightning_pose/")}
    assert kinds == {".py", ".typed", ".yaml", ".sbatch"}


def test_the_wheel_brings_its_command_and_licence(wheel):
    information = f"{PROJECT['name'].replace('-', '_')}-{lightning_pose.__version__}.dist-info"
    scripts = wheel.read(f"{information}/entry_points.txt").decode()
    assert "lightning = lightning_pose.cli:main" in scripts
    assert wheel.read(f"{information}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in wheel.read(f"{information}/METADATA").decode()


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == lightning_pose.__version__
    assert citation["license"] == PROJECT["license"]


def test_the_changelog_knows_the_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert lightning_pose.__version__ in headings or len(headings) == 1
