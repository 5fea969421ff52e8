"""Where the real data are, for the tests that compare with published figures."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_root():
    root = os.environ.get("LIGHTNING_POSE_DATA")
    if not root:
        pytest.skip("LIGHTNING_POSE_DATA does not name the folder of real data")
    return Path(root)
