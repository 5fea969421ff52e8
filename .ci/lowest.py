"""Print, as constraints for pip, the lowest versions that pyproject.toml allows.

`python .ci/lowest.py > lowest.txt`, then `pip install --constraint lowest.txt .`. It runs before
anything is installed and therefore uses the standard library only.
"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
    # jsonargparse[signatures]>=4.53 -> jsonargparse==4.53, which pip reads as 4.53.0.
    found = re.fullmatch(r"([\w.-]+)(?:\[.+\])?>=([\d.]+)(?:,.+)?", requirement)
    if found is None:
        sys.exit(f"Expected NAME>=VERSION in pyproject.toml, found {requirement!r}; add a bound.")
    sys.stdout.write(f"{found[1]}=={found[2]}\n")
