"""`python -m lightning_pose`: the `lightning` command under a name that nothing can shadow."""

import sys

from lightning_pose.cli import main

if __name__ == "__main__":
    sys.exit(main())
