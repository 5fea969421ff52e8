"""The names that `import lightning_pose` offers are the same objects as in their modules."""

import importlib
import subprocess
import sys

import pytest

import lightning_pose

MODULES = {
    "load": "inference",
    "Person": "person",
    "PoseModule": "module",
    "Predictor": "inference",
    "Skeleton": "skeletons",
    "InputSpec": "input_spec",
    "PCK": "metrics",
    "PCKh": "metrics",
    "RMSE": "metrics",
    "MAE": "metrics",
    "Accuracy": "metrics",
    "Dice": "metrics",
    "InputError": "errors",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_public_name_is_that_of_its_module(name: str) -> None:
    module = importlib.import_module(f"lightning_pose.{MODULES[name]}")
    assert getattr(lightning_pose, name) is getattr(module, name)


def test_all_lists_the_public_names() -> None:
    assert set(lightning_pose.__all__) == {*MODULES, "__version__"}
    assert set(lightning_pose.__all__) <= set(dir(lightning_pose))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'lightning_pose' has no attribute 'PoseModul'"):
        _ = lightning_pose.PoseModul
    assert not hasattr(lightning_pose, "import_everything")


def test_names_are_listed_before_they_are_imported() -> None:
    code = (
        "import sys, lightning_pose\n"
        "assert {'load', 'PoseModule'} <= set(dir(lightning_pose))\n"
        "assert lightning_pose.InputError.__name__ == 'InputError'\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
