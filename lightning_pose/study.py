"""A study: arms that differ in the options of `fit`, each trained with several seeds."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_pose.errors import ConfigError

__all__ = ["Arm", "Study", "single_task_arms"]

_KEYS = ("seeds", "arms", "single_task")


@dataclass(frozen=True)
class Arm:
    """One way to train, of which a study makes a run for each seed.

    Attributes:
        name: The name of the folder of its runs.
        options: The options of `fit` in which it differs from the other arms.
    """

    name: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """What to train: every arm with every seed.

    Attributes:
        arms: The arms in the order of the file.
        seeds: The seeds of each arm.
        single_task: Whether each head alone is an arm, too; None for models with two heads or more.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    single_task: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], path: Path) -> "Study":
        """Read the content of a study's file.

        Args:
            data: The plain data: `arms`, the options of each arm by its name, as one would type
                them; `seeds`, how many or which, by default 5; and `single_task`, by default true
                for models with two heads or more.
            path: The file, for messages.

        Returns:
            The study.

        Raises:
            ConfigError: A key is missing or unknown, or a value cannot be used.

        Example:
            >>> arms = {"shipped": None, "slow": "--trainer.max_epochs 9"}
            >>> study = Study.from_dict({"seeds": 2, "arms": arms}, Path("weights.yaml"))
            >>> study.arms[1].options, study.seeds
            (('--trainer.max_epochs', '9'), (0, 1))
        """
        unknown = sorted(set(map(str, data)) - set(_KEYS))
        arms, single_task = data.get("arms"), data.get("single_task")
        if unknown or not isinstance(arms, dict) or not arms:
            found = f"the key {unknown[0]!r}" if unknown else f"arms: {arms!r}"
            raise ConfigError(
                "Expected arms by name, and optionally seeds and single_task, in the study "
                f"{path}, found {found}; correct the file."
            )
        if not isinstance(single_task, bool | None):
            raise ConfigError(
                f"Expected single_task as true or false in the study {path}, found "
                f"{single_task!r}; correct it."
            )
        made = tuple(_arm(str(name), options, path) for name, options in arms.items())
        return cls(made, _seeds(data.get("seeds", 5), path), single_task)

    def with_baselines(self, heads: Sequence[str], path: Path) -> list[Arm]:
        """List the arms of the file, and each head alone.

        Args:
            heads: The names of the model's heads.
            path: The file, for messages.

        Returns:
            The arms.

        Raises:
            ConfigError: The file asks for single heads of a model that has no two, or an arm has
                the name of one of these baselines.
        """
        arms = list(self.arms)
        if self.single_task and len(heads) < 2:
            raise ConfigError(
                f"Expected configs with two heads or more for single_task in {path}, found "
                f"{', '.join(heads) or 'none'}; name the configs with --config, or remove "
                "single_task."
            )
        if self.single_task is False or len(heads) < 2:
            return arms
        baselines = single_task_arms(heads)
        for name in {arm.name for arm in arms} & {arm.name for arm in baselines}:
            raise ConfigError(
                f"Expected an arm with another name than that of a head alone in {path}, found "
                f"{name}; rename the arm, or set single_task: false."
            )
        return [*arms, *baselines]


def single_task_arms(heads: Sequence[str]) -> list[Arm]:
    """The baselines of a multi-task model: each head trained alone.

    Args:
        heads: The names of the model's heads.

    Returns:
        One arm per head, named "only_HEAD".

    Example:
        >>> single_task_arms(["mask", "joints"])[0].options[:2]
        ('--model.heads.joints=null', '--model.main_head=mask')
    """
    arms = []
    for head in heads:
        options = [f"--model.heads.{other}=null" for other in heads if other != head]
        options += [f"--model.main_head={head}", "--model.main_metric=null"]
        options += ["--model.weighting=FixedWeighting"]
        options += [f"--model.weighting.weights={json.dumps({head: 1.0})}"]
        arms.append(Arm(f"only_{head}", tuple(options)))
    return arms


def _arm(name: str, options: Any, path: Path) -> Arm:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ConfigError(
            f"Expected names of arms that can be names of folders in the study {path}, found "
            f"{name!r}; use letters, digits, dots, dashes and underscores."
        )
    try:
        words = shlex.split(options or "")
    # A number, a list or a mapping; or quotes that are not closed.
    except (AttributeError, TypeError, ValueError) as error:
        words = [str(error)]
    if words and not words[0].startswith("-"):
        raise ConfigError(
            f"Expected the arm {name} of the study {path} as options of fit in one text, such as "
            f"--trainer.max_epochs 9, found {options!r}; correct it."
        )
    return Arm(name, tuple(words))


def _seeds(value: Any, path: Path) -> tuple[int, ...]:
    seeds = list(range(value)) if type(value) is int else value
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(
            "Expected seeds as a number of 1 or more, or as a list of different numbers, in the "
            f"study {path}, found {value!r}; correct it."
        )
    return tuple(seeds)
