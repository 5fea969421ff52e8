"""`lightning validate` and `lightning test`: score the model in a checkpoint."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from lightning_pose import checkpoint
from lightning_pose.commands import untrusted
from lightning_pose.commands.configs import read_config, split_configs, values
from lightning_pose.commands.pose_cli import PoseCLI
from lightning_pose.errors import ConfigError

__all__ = ["EvaluateCLI", "main"]

_FIT_ONLY = (
    "model", "experiment", "run", "init_from", "save_every_n_steps", "save_every_n_minutes",
    "ckpt_path",
)  # fmt: skip
"""Config keys that are ignored: the model comes from the checkpoint, the others are for `fit`."""


class EvaluateCLI(PoseCLI):
    """Scores a model on the people of the validation or the test split."""

    help_texts: ClassVar = {
        command: (
            "--ckpt_path RUN/best.ckpt [--config CONFIG ...] [--KEY VALUE ...]",
            f"Score a checkpoint on the {split} split, and write the results next to it. The model "
            "comes from the checkpoint, and the data from the config of its run, or from --config "
            "and keys such as --data.root; settings of the model, such as "
            "--model.heads.heatmap.decoding, change it for this command.",
        )
        for command, split in (("validate", "validation"), ("test", "test"))
    }

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """`validate` and `test`, without the option to load checkpoints that contain code."""
        commands = LightningCLI.subcommands()
        return {name: commands[name] | {"weights_only"} for name in ("validate", "test")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options for the flip test and for the packages to trust."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--flip",
            type=bool,
            default=False,
            help="Average the predictions for each image and its mirror image.",
        )
        parser.add_argument(
            "--allow",
            action="append",
            metavar="PACKAGE",
            help="A package of your own that the checkpoint and its data may import and run; "
            "repeat for more.",
        )

    def before_instantiate_classes(self) -> None:
        """Write no logs."""
        self.settings.trainer.logger = False

    def after_instantiate_classes(self) -> None:
        """Turn the flip test on or off."""
        self.model.flip_test = self.settings.flip

    def after_validate(self) -> None:
        """Write the results next to the checkpoint."""
        self._write("val")

    def after_test(self) -> None:
        """Write the results next to the checkpoint."""
        self._write("test")

    def _write(self, stage: str) -> None:
        per_joint = self.model.evaluations[stage].scores.per_joint()
        if not self.trainer.is_global_zero:
            return
        checkpoint = Path(self.settings.ckpt_path)
        content = {
            "command": self.subcommand,
            "checkpoint": checkpoint.name,
            "flip": self.settings.flip,
            "data": self.settings.data.as_dict(),
            "results": _plain(self.trainer.callback_metrics),
            "per_joint": {key: _plain(values) for key, values in per_joint.items()},
        }
        stem = f"{self.subcommand}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        try:
            path = _write_new(checkpoint.parent, stem, json.dumps(content, indent=2, default=str))
        except OSError as error:
            # The folder of a checkpoint may be read-only; the results are on the screen.
            print(f"Results were not written to {checkpoint.parent}: {error.strerror}")
        else:
            print(f"Results, also per joint: {path}")


def _plain(values: Mapping[str, Tensor]) -> dict[str, float | None]:
    """Numbers for JSON, which has no NaN and no infinity."""
    return {key: float(value) if value.isfinite() else None for key, value in values.items()}


def _write_new(folder: Path, stem: str, text: str) -> Path:
    """Write a file that was not there before."""
    path = folder / f"{stem}.json"
    attempt = 1
    while True:
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            attempt += 1
            path = folder / f"{stem}_{attempt}.json"
        else:
            return path


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning validate` or `lightning test`.

    Args:
        command: "validate" or "test".
        argv: The arguments after it.

    Returns:
        The exit status, 0.

    Raises:
        InputError: A config, a dataset or the checkpoint cannot be used.
    """
    configs, words = split_configs(argv)
    if not {"-h", "--help"} & set(words):
        paths = values(words, "--ckpt_path")
        if not paths:
            raise ConfigError(
                f"Expected --ckpt_path for `lightning {command}`, found none; give RUN/best.ckpt."
            )
        words = [*_words(Path(paths[-1]), configs, values(words, "--allow")), *words]
    EvaluateCLI([command, *words])
    return 0


def _words(ckpt_path: Path, configs: Sequence[Path], allow: Sequence[str]) -> Iterator[str]:
    """The model and input of a checkpoint, and the data of configs, as command-line arguments."""
    for name in allow:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(
                f"Expected --allow with the name that a package is imported by, found {name!r}; "
                "correct it."
            )
    spec = checkpoint.read_spec(ckpt_path, allow=allow)
    model = spec.to_config()
    untrusted.check_model(model, ckpt_path, allow)
    yield _inline({"model": model})
    contents = [read_config(path) for path in configs]
    if not any("data" in content for content in contents):
        yield _inline({"data": untrusted.data_next_to(ckpt_path, allow)})
    for content in contents:
        yield _inline({key: value for key, value in content.items() if key not in _FIT_ONLY})
    yield f"--data.input_spec={json.dumps(spec.input_spec.to_dict())}"


def _inline(config: dict[str, Any]) -> str:
    return f"--config={json.dumps(config, default=str)}"  # YAML's dates are text here.
