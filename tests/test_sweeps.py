"""Every shipped sweep is one that W&B accepts, and its commands train."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS, find_config, read_config
from tests.test_configs import SHORT, SMALL

SWEEPS = sorted((SHIPPED_CONFIGS / "sweeps").glob("*.yaml"), key=lambda path: path.name)

each_sweep = pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)


def sample(parameter: dict[str, Any], place: int = 0) -> Any:
    """A value of a parameter."""
    return parameter["values"][place] if "values" in parameter else parameter["min"]


def command(sweep: dict[str, Any], overlay: int = 0) -> list[str]:
    """The words with which W&B's agent starts a run, with one of the overlays that it chooses."""
    sampled = {
        name: {"value": sample(one, overlay if name == "config" else 0)}
        for name, one in sweep["parameters"].items()
    }
    replaced = {
        "${env}": ["/usr/bin/env"],
        "${program}": [sweep["program"]],
        "${args}": create_sweep_command_args({"args": sampled})["args"],
    }
    words = create_sweep_command(list(sweep["command"]))
    return [word for part in words for word in replaced.get(part, [part])]


def setting(config: Any, key: str) -> Any:
    """The value of a dotted key, which leaves out `init_args`."""
    for name in key.split("."):
        config = config[name] if name in config else config["init_args"][name]
    return config


def test_there_are_sweeps() -> None:
    assert len(SWEEPS) == 4


@each_sweep
def test_a_sweep_has_the_form_that_wandb_asks_for(path: Path) -> None:
    # As the JSON schema of W&B's package sweeps says, which cannot be installed beside NumPy 2.
    sweep = read_config(path)
    assert set(sweep) == {"program", "command", "project", "method", "metric", "parameters"}
    assert sweep["method"] in ("grid", "bayes")
    # `fit` logs it, higher is better, and W&B keeps its best value.
    assert sweep["metric"] == {"name": "val/main", "goal": "maximize"}
    for parameter in sweep["parameters"].values():
        if set(parameter) == {"values"}:
            assert len(parameter["values"]) == len(set(parameter["values"])) > 1
        else:
            assert sweep["method"] != "grid"
            assert set(parameter) == {"distribution", "min", "max"}
            assert parameter["distribution"] in ("uniform", "log_uniform_values")
            assert all(isinstance(parameter[end], float) for end in ("min", "max"))
            assert parameter["min"] < parameter["max"]
            assert math.log(parameter["min"]) if "log" in parameter["distribution"] else True
    logger = read_config(SHIPPED_CONFIGS / "logger" / "wandb.yaml")["trainer"]["logger"]
    assert sweep["project"] == logger["init_args"]["project"]
    for name in sweep["parameters"].get("config", {"values": []})["values"]:
        assert find_config(name).is_file()


@pytest.mark.parametrize(
    ("path", "overlay"),
    [
        pytest.param(path, place, id=f"{path.stem}-{Path(str(config)).stem}")
        for path in SWEEPS
        for place, config in enumerate(
            read_config(path)["parameters"].get("config", {"values": ["as_is"]})["values"]
        )
    ],
)
def test_its_command_trains(
    path: Path, overlay: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = read_config(path)
    words = command(sweep, overlay)
    assert words[:3] == ["/usr/bin/env", "lightning", "fit"]
    assert "--config=logger/wandb.yaml" in words
    short = [word for word in SHORT if word[2:].split("=")[0] not in sweep["parameters"]]
    # Without W&B, which is slow to start and has tests of its own.
    assert main([*words[2:], *short, *SMALL, "--trainer.logger=false", "--run=run"]) == 0
    (folder,) = tmp_path.glob("checkpoints/*/run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for name, parameter in sweep["parameters"].items():
        if name != "config":
            assert setting(config, name) == sample(parameter)
            continue
        # Nothing else is replaced: data and heads are those of the configs before it.
        chosen = read_config(find_config(sample(parameter, overlay)))
        assert set(chosen) == {"model"}
        assert set(chosen["model"]) == {"weighting"}
        kind = config["model"]["weighting"]["class_path"].split(".")[-1]
        assert kind == chosen["model"]["weighting"]["class_path"]
        if kind == "FixedWeighting":
            assert config["model"]["weighting"]["init_args"]["weights"] is None
