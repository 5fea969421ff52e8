"""Print constraints.txt: the versions, in this environment, of all that the package depends on."""

import re
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "lightning-pose-multitask"
HEADER = """\
# The versions with which the tests last passed, on Linux with Python {}.{}. Not needed to install;
# `pip install -c constraints.txt ...` brings back exactly these when a newer release breaks
# something. Written by `python .ci/constraints.py > constraints.txt` in an environment with the
# [dev] extra; packages that belong to one kind of graphics card are left to torch.
"""

versions: dict[str, str] = {}
waiting: list[tuple[str, str]] = [(ROOT, "dev")]
seen: set[tuple[str, str]] = set()
while waiting:
    name, extra = waiting.pop()
    if (name, extra) in seen:
        continue
    seen.add((name, extra))
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        sys.exit(f"Expected {name} to be installed; run pip install -e '.[dev]' first.")
    versions[name] = distribution.version
    for text in distribution.requires or []:
        requirement = Requirement(text)
        # A requirement without a marker holds for every extra.
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            needed = canonicalize_name(requirement.name)
            waiting += [(needed, wanted) for wanted in ("", *requirement.extras)]

lines = [
    f"{name}=={version.split('+')[0]}\n"
    for name, version in sorted(versions.items())
    if name != ROOT and not re.match("nvidia-|cuda-|triton", name)
]
sys.stdout.write(HEADER.format(*sys.version_info[:2]) + "".join(lines))
