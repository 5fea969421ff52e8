"""A null for a setting that has to have a value, which the parser lets through."""

import inspect
from pkgutil import resolve_name
from types import NoneType
from typing import Any, get_args

from jsonargparse import Namespace

from lightning_pose.errors import ConfigError

__all__ = ["refuse_nulls"]


def refuse_nulls(name: str, settings: Any, owner: Any = None) -> None:
    """Refuse null for a parameter that does not take it, at any depth.

    Args:
        name: The key of the settings, such as "data".
        settings: The parsed settings below that key.
        owner: The class whose parameters they are, unless they name one.

    Raises:
        ConfigError: A parameter is null whose type does not include None.
    """
    if isinstance(settings, list | tuple):
        for place, setting in enumerate(settings):
            refuse_nulls(f"{name}[{place}]", setting)
    if not isinstance(settings, Namespace | dict):
        return
    children = vars(settings) if isinstance(settings, Namespace) else settings
    if "class_path" in children:
        owner = resolve_name(children["class_path"])
        arguments = children.get("init_args")
        name, children = f"{name}.init_args", {} if arguments is None else vars(arguments)
    for key, setting in children.items():
        if setting is None and owner is not None and not _takes_none(owner, key):
            raise ConfigError(
                f"Expected a value for {name}.{key}, found null; leave it out for its default."
            )
        refuse_nulls(f"{name}.{key}", setting)


def _takes_none(owner: Any, key: str) -> bool:
    # A constructor may pass on what it does not name to those of its bases.
    makers = owner.__mro__ if inspect.isclass(owner) else (owner,)
    for maker in makers:
        if inspect.isclass(maker) and "__init__" not in vars(maker):
            continue
        parameter = inspect.signature(maker).parameters.get(key)
        if parameter is not None:
            annotation = parameter.annotation
            known = annotation is not inspect.Parameter.empty and not isinstance(annotation, str)
            return not known or annotation is Any or NoneType in get_args(annotation)
    return True
