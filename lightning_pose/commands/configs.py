"""Configs on the command line: from a name to a file, and from a file to plain data."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import set_parsing_settings

import lightning_pose
from lightning_pose.errors import ConfigError

__all__ = [
    "SHIPPED_CONFIGS",
    "find_config",
    "packages",
    "read_config",
    "restrict_parsing",
    "split_configs",
    "values",
]

_HERE = Path(lightning_pose.__file__).parent

SHIPPED_CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"
"""An installed package contains the configs; in the repository they are next to the package."""


def find_config(name: str) -> Path:
    """Look up a config in the current folder, in ./configs, and among the shipped ones.

    Args:
        name: A path or a name such as "combined.yaml" or "data/lspet.yaml".

    Returns:
        The file.

    Raises:
        ConfigError: There is no such file; the message lists similar names.
    """
    places = [Path(), Path("configs"), SHIPPED_CONFIGS]
    for place in places:
        if (place / name).is_file():
            return place / name
    known = sorted(
        {
            path.relative_to(place).as_posix()
            for place in places[1:]
            for path in place.rglob("*.yaml")
        }
    )
    here = [path.name for path in Path().glob("*.yaml") if path.is_file()]
    near = difflib.get_close_matches(name, [*here, *known], n=3, cutoff=0.4) or known
    raise ConfigError(
        f"Expected a config file, found no {name!r} in ., ./configs or among the shipped ones; "
        f"did you mean {', '.join(near)}?"
    )


def read_config(path: Path) -> dict[str, Any]:
    """Read a config as plain data.

    Args:
        path: The file.

    Returns:
        Its keys and values.

    Raises:
        ConfigError: It is not YAML in UTF-8, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"Expected YAML as text in UTF-8 in the config {path}, found that it cannot be read "
            f"({' '.join(str(error).split())}); correct the file."
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"Expected keys and values in the config {path}, found a {type(content).__name__}; "
            "correct the file."
        )
    for key in ("data", "model", "trainer"):
        # A class alone may be named by a word, as on the command line.
        if key in content and not isinstance(content[key], dict | str):
            found = "none" if content[key] is None else f"a {type(content[key]).__name__}"
            raise ConfigError(
                f"Expected settings below {key} in the config {path}, found {found}; correct or "
                "remove the key."
            )
    return content


def restrict_parsing() -> None:
    """Restrict what a config makes jsonargparse do, from now on in this process."""
    set_parsing_settings(
        # An empty list adds nothing but enforces jsonargparse's own denylist (commands, pickle).
        # Configs must not name remote files, or classes where a value is expected.
        import_path_denylist=[],
        config_read_mode_fsspec_enabled=False,
        instantiate_subclass_spec_in_any=False,
    )


def split_configs(argv: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Separate the configs from the other arguments of a command line.

    Args:
        argv: The arguments after a command.

    Returns:
        The files that `-c` and `--config` name, in order, and the other arguments.

    Raises:
        ConfigError: There is no such config, or it cannot be read.
    """
    names, others = [], []
    words = iter(argv)
    for word in words:
        if word.startswith("--config="):
            names.append(word.removeprefix("--config="))
        elif word in ("-c", "--config") and (name := next(words, None)) is not None:
            names.append(name)
        else:
            others.append(word)
    configs = [find_config(name) for name in names]
    for path in configs:
        read_config(path)  # jsonargparse would pass on its YAML reader's errors.
    return configs, others


def values(words: Sequence[str], name: str) -> list[str]:
    """Look up the values of an option without parsing the other arguments.

    Args:
        words: The arguments after a command.
        name: The option, such as "--ckpt_path".

    Returns:
        Its values in order; the last one counts if the option takes only one.

    Example:
        >>> values(["--ckpt_path", "a.ckpt", "--ckpt_path=b.ckpt"], "--ckpt_path")
        ['a.ckpt', 'b.ckpt']
    """
    found = []
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            found.append(words[index + 1])
        elif word.startswith(f"{name}="):
            found.append(word.removeprefix(f"{name}="))
    return found


def packages(config: Any) -> list[str]:
    """Find the packages whose classes a config names; they are trusted, as the user chose it.

    Args:
        config: Plain data.

    Returns:
        The first component of each class path.

    Example:
        >>> packages({"heads": {"mask": {"class_path": "mine.heads.MaskHead"}}})
        ['mine']
    """
    found: set[str] = set()
    values = [config]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            path = value.get("class_path")
            if isinstance(path, str) and "." in path:
                found.add(path.split(".")[0])
            values += value.values()
        elif isinstance(value, list):
            values += value
    return sorted(found)
