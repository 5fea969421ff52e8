"""Import every module of lightning_pose where only its runtime dependencies are installed."""

import importlib
import importlib.util
import pkgutil
import sys

import lightning_pose

if importlib.util.find_spec("pytest"):
    sys.exit("Expected only runtime dependencies, found pytest; use an environment without it.")

names = [m.name for m in pkgutil.walk_packages(lightning_pose.__path__, "lightning_pose.")]
for name in names:
    importlib.import_module(name)
sys.stdout.write(f"{len(names)} modules imported from {lightning_pose.__path__[0]}\n")
