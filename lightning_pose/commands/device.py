"""The device that a command runs a model on."""

import torch

from lightning_pose.errors import ConfigError

__all__ = ["choose_device"]


def choose_device(name: str) -> str:
    """Check that this machine has a device.

    Args:
        name: The device as torch names it; "auto" for a GPU if there is one, else the CPU.

    Returns:
        Its name.

    Raises:
        ConfigError: This machine does not have it.

    Example:
        >>> choose_device("cpu")
        'cpu'
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return "cpu" if found is None else str(found)
    try:
        torch.zeros(1, device=name).item()
    # Torch raises various errors for a device that is misspelt, not present or not compiled in.
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"Expected a device that this machine has, found {name!r}; give --device cpu or leave "
            "it out."
        ) from error
    return name
