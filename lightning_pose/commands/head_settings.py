"""The heads in the settings of `fit`: misspelt ones, and those that a later config removes."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from lightning_pose.commands.configs import read_config, values
from lightning_pose.errors import ConfigError

__all__ = ["check_head_names", "head_names", "remove_heads"]


def check_head_names(configs: Sequence[Path], words: Sequence[str]) -> None:
    """Refuse settings for heads that nothing defines, because their names are misspelt.

    Raises:
        ConfigError: There are settings for a head that is not defined.
    """
    start = "--model.heads."
    if {"--model", "--model.heads"} & {word.split("=")[0] for word in words}:
        return  # Heads may be defined in that value.
    keys = [word.removeprefix(start).split("=")[0] for word in words if word.startswith(start)]
    named = [key for key in keys if "." not in key or key.endswith(".class_path")]
    known = {key.split(".")[0] for key in named}
    for path in configs:
        model = read_config(path).get("model")
        heads = model.get("heads") if isinstance(model, dict) else None
        known |= set(heads) if isinstance(heads, dict) else set()
    for key in keys:
        name = key.split(".")[0]
        if name not in known:
            raise ConfigError(
                f"Expected a setting of one of the heads {', '.join(sorted(known))}, found "
                f"{start}{key}; correct the name, or give the new head a class with {start}{name}."
            )


def head_names(configs: Sequence[Path], words: Sequence[str]) -> list[str]:
    """The heads of the model that configs and options describe.

    Args:
        configs: The configs, of which a later one replaces the heads of an earlier one.
        words: The other arguments of `fit`.

    Returns:
        Their names, without those that are set to null.
    """
    models = [read_config(config).get("model") for config in configs]
    heads = [model["heads"] for model in models if isinstance(model, dict) and "heads" in model]
    last = heads[-1] if heads and isinstance(heads[-1], dict) else {}
    removed = {str(name): head is None for name, head in last.items()}
    start = "--model.heads."
    keys = [word.split("=")[0].removeprefix(start) for word in words if word.startswith(start)]
    for name in (key.removesuffix(".class_path") for key in keys):
        if "." not in name:
            removed[name] = values(words, start + name)[-1:] == ["null"]
    return [name for name, gone in removed.items() if not gone]


def remove_heads(model: Namespace) -> None:
    """Remove the heads that a later config has set to null, and their weights."""
    # A class without parameters has no init_args.
    weights = model.get("weighting.init_args.weights")
    for name in [name for name, head in model.heads.items() if head is None]:
        del model.heads[name]
        if isinstance(weights, dict):
            weights.pop(name, None)
