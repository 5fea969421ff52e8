"""The names of heads: which may be used, and which head is the main one."""

from collections.abc import Mapping

from torch import nn

from lightning_pose.errors import ConfigError
from lightning_pose.heads.base import Head

__all__ = ["check_heads", "choose_main_head"]


def check_heads(heads: Mapping[str, Head | None]) -> dict[str, Head]:
    """Leave out the heads that are None, and refuse names that cannot be keys.

    Args:
        heads: The heads by name.

    Returns:
        The heads that are there.

    Raises:
        ConfigError: There is no head, or a name is not an identifier, is an attribute of PyTorch's
            modules, or is a prefix of other keys in metrics and files ("loss", "label").
    """
    found = {name: head for name, head in heads.items() if head is not None}
    if not found:
        raise ConfigError("Expected at least one head, found none; add one under model.heads.")
    for name in found:
        # PyTorch keeps modules as attributes: "type" and "keys" are already taken.
        taken = hasattr(nn.ModuleDict, name) or name in ("training", "label", "loss")
        if not name.isidentifier() or taken:
            raise ConfigError(
                "Expected head names of letters, digits and underscores that PyTorch modules do "
                f"not use, found {name!r}; rename it under model.heads."
            )
    return found


def choose_main_head(heads: Mapping[str, Head], name: str | None) -> str:
    """The head whose keypoints are used and whose first metric is the main metric.

    Args:
        heads: The heads by name.
        name: The main head; None takes the first that predicts keypoints, or else the first.

    Returns:
        Its name.

    Raises:
        ConfigError: There is no head of that name.
    """
    if name is None:
        keypoints = [n for n, head in heads.items() if "keypoints" in head.fills]
        return (keypoints or list(heads))[0]
    if name not in heads:
        raise ConfigError(
            f"Expected main_head to be one of {sorted(heads)}, found {name!r}; "
            "correct model.main_head."
        )
    return name
