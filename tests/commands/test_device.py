import pytest
import torch

from lightning_pose.commands.device import choose_device
from lightning_pose.errors import ConfigError


def test_a_device_of_this_machine_is_kept() -> None:
    assert choose_device("cpu") == "cpu"
    assert torch.zeros(1, device=choose_device("auto")).numel() == 1


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta:", ""])
def test_another_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="a device that this machine has"):
        choose_device(name)
