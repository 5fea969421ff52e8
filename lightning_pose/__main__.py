"""`python -m lightning_pose`: the `lightning` command where another package has taken its name."""

import sys

from lightning_pose.cli import main

if __name__ == "__main__":
    sys.exit(main())
