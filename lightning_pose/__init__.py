"""Multi-task human pose estimation: one network for the joints and the mask of a person.

The names below are imported on first use, which keeps `import lightning_pose` cheap.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_pose.errors import InputError
    from lightning_pose.inference import Predictor, load
    from lightning_pose.input_spec import InputSpec
    from lightning_pose.metrics import MAE, PCK, RMSE, Accuracy, Dice, PCKh
    from lightning_pose.module import PoseModule
    from lightning_pose.person import Person
    from lightning_pose.skeletons import Skeleton

__all__ = [
    "MAE",
    "PCK",
    "RMSE",
    "Accuracy",
    "Dice",
    "InputError",
    "InputSpec",
    "PCKh",
    "Person",
    "PoseModule",
    "Predictor",
    "Skeleton",
    "__version__",
    "load",
]

__version__ = "0.1.0"

# Albumentations checks for a newer version online when it is imported, unless this is set.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

_MODULES = {
    "MAE": "metrics",
    "PCK": "metrics",
    "RMSE": "metrics",
    "Accuracy": "metrics",
    "Dice": "metrics",
    "InputError": "errors",
    "InputSpec": "input_spec",
    "PCKh": "metrics",
    "Person": "person",
    "PoseModule": "module",
    "Predictor": "inference",
    "Skeleton": "skeletons",
    "load": "inference",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
