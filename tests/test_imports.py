"""The layers: no import goes up or in a circle, and the core needs few packages."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_pose

PACKAGE = Path(lightning_pose.__file__).parent

FLOORS = (
    (
        "atomic",
        "batch",
        "errors",
        "eval_mode",
        "features",
        "float32",
        "geometry",
        "input_spec",
        "layers",
        "losses",
        "metrics",
        "prediction",
        "sample",
        "skeletons",
        "synthetic",
        "task",
    ),
    (
        "backbones",
        "codecs",
        "datasets",
        "runs",
        "study",
        "transforms",
        "visualization",
        "weightings",
    ),
    (
        "callbacks",
        "datamodules",
        "diagnosis",
        "heads",
        "logged_steps",
        "person",
        "precision",
        "sync_batch_norm",
        "report",
        "schedules",
        "teachers",
    ),
    (
        "checkpoint",
        "checkpoint_io",
        "evaluation",
        "formats",
        "model_spec",
        "module",
        "network",
        "parts",
        "module_checks",
        "training_losses",
        "transfer",
    ),
    ("__init__", "__main__", "cli", "commands", "inference"),
)
"""The layers, from the bottom up; each entry is a file or a folder of the package."""

CORE = (
    "batch",
    "checkpoint",
    "codecs",
    "errors",
    "features",
    "geometry",
    "heads",
    "input_spec",
    "losses",
    "metrics",
    "module",
    "network",
    "prediction",
    "skeletons",
    "task",
    "weightings",
)
"""What must import without OpenCV, albumentations, segmentation-models-pytorch and W&B."""


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["lightning_pose", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, names: set[str]) -> list[tuple[int, str]]:
    """Our own modules that a file imports, with the line, including imports inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by dots; write the whole name."
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.append((node.lineno, whole if whole in names else str(node.module)))
    return [(line, name) for line, name in found if name in names]


def floor(module: str) -> int:
    """The floor of a module's room."""
    room = ([*module.split("."), "__init__"])[1]
    floors = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    assert floors, f"The room {room!r} stands on no floor; give it one in FLOORS."
    return floors[0]


def test_no_import_goes_up_a_floor():
    found = modules()
    upwards = [
        f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}, which is on floor "
        f"{floor(name)}, from floor {floor(module)}."
        for module, path in found.items()
        for line, name in imports(path, set(found))
        if floor(name) > floor(module)
    ]
    assert not upwards, "\n".join(upwards)


def test_no_import_makes_a_circle():
    found = modules()
    graph = {
        module: {name for _, name in imports(path, set(found))} for module, path in found.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("These import each other in a circle: " + " <- ".join(error.args[1]))


# One process for all, because importing everything takes seconds.
PROBE = """
import importlib, json, sys

reached = []
sys.addaudithook(
    lambda event, args: reached.append(str(args[1] if event == "socket.connect" else args[0]))
    if event in ("socket.connect", "socket.getaddrinfo")
    else None
)


class Blocker:
    names = {"cv2", "albumentations", "segmentation_models_pytorch", "wandb"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)


core, every = json.loads(sys.argv[1])
blocker = Blocker()
sys.meta_path.insert(0, blocker)
import lightning_pose

cheap = sorted({"numpy", "torch", "pytorch_lightning"} & set(sys.modules))
failed = {}
for names in (core, every):
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed[name] = str(error)
    if blocker in sys.meta_path:
        sys.meta_path.remove(blocker)
print(json.dumps({"cheap": cheap, "failed": failed, "reached": reached}))
"""


@pytest.fixture(scope="module")
def probe():
    """What a fresh process found: first the core with packages blocked, then everything."""
    every = sorted(modules())
    core = [name for name in every if name.count(".") and name.split(".")[1] in CORE]
    assert len(core) > len(CORE)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([core, every])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_core_needs_few_packages(probe):
    assert probe["failed"] == {}


def test_importing_the_package_is_cheap(probe):
    assert probe["cheap"] == [], "import lightning_pose brings heavy packages along"


def test_importing_asks_the_network_for_nothing(probe):
    assert probe["reached"] == []
