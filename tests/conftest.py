"""What all tests share: no network, no accounts, no screen, and fixed seeds."""

import ipaddress
import os
import random
import socket
import sys
from pathlib import Path

# Set before anything that reads them is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["WANDB_MODE"] = "offline"

import hypothesis
import pytest
import torch

# A busy machine is not a failure: no test asserts a time.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# The tests' images are tiny: on many cores the threads would mostly wait for each other.
torch.set_num_threads(min(2, torch.get_num_threads()))
# With a process per core, a second thread of each would only wait for those of the others.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # For the processes that tests start.


@pytest.fixture(autouse=True)
def seeds():
    """Every test starts from the same random numbers, in whatever order the tests run."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def wandb_data(tmp_path_factory):
    """Keep the copies that W&B makes of an artifact's files out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_DATA_DIR", str(tmp_path_factory.mktemp("wandb")))
        yield


_reached_for: list[str] = []


def _stay_on_this_machine(event, args):
    """Refuse every look-up of, and connection to, an address outside this machine."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host or "localhost"
    try:
        address = ipaddress.ip_address(name)
        local = address.is_loopback or address.is_unspecified
    except ValueError:
        local = name in ("localhost", socket.gethostname())
    if not local:
        _reached_for.append(name)
        raise OSError(f"No network in tests, and {name} is not this machine.")


# An audit hook also sees what libraries do, whatever names they imported from socket.
sys.addaudithook(_stay_on_this_machine)


@pytest.fixture(autouse=True)
def no_network():
    """A test that reaches for the network fails, even if a library swallows the refusal."""
    _reached_for.clear()
    yield
    assert not _reached_for, f"The test reached for the network: {_reached_for}."


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data; tests that need it are skipped if there is none."""
    folder = os.environ.get("LIGHTNING_POSE_DATA")
    if not folder:
        pytest.skip("LIGHTNING_POSE_DATA is not set: no real data here")
    if not Path(folder).is_dir():
        pytest.fail(f"LIGHTNING_POSE_DATA is {folder}, which is no folder; correct or unset it")
    return Path(folder)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that writes a file when it is imported; returns the file."""
    written = tmp_path / "written.txt"
    (tmp_path / "hostile_trap.py").write_text(
        f"import pathlib\npathlib.Path({str(written)!r}).write_text('gotcha')\nclass Evil: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return written
