"""Everything that is needed to rebuild a model, except for its weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lightning_pose import parts
from lightning_pose.backbones.base import Backbone
from lightning_pose.errors import CheckpointError, InputError
from lightning_pose.heads.base import Head
from lightning_pose.input_spec import InputSpec
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.network import PoseNetwork
from lightning_pose.skeletons import Skeleton
from lightning_pose.task import Task
from lightning_pose.weightings.base import Weighting

__all__ = ["ModelSpec"]

M = TypeVar("M", bound=nn.Module)

Part = dict[str, Any]
"""{"class_path": str, "init_args": dict}, as `parts.describe` writes it."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is needed to rebuild a model, except for its weights.

    Attributes:
        backbone: The backbone as a part.
        heads: The heads as parts, by name.
        weighting: The weighting as a part.
        metrics: The declared metrics as parts, by name.
        skeleton: The joints.
        input_spec: How an image becomes the network's input.
        labels: Image-level labels, with the names of their classes.
        main_head: The head whose keypoints are used, and whose first metric is the main metric.
        main_metric: The main metric; None for the first metric of the main head.
        mean: Per-channel mean for normalising images.
        std: Per-channel standard deviation for normalising images.
        untrained: The heads that never saw a label.
    """

    backbone: Part
    heads: dict[str, Part]
    weighting: Part
    metrics: dict[str, Part]
    skeleton: Skeleton
    input_spec: InputSpec
    labels: dict[str, list[str]]
    main_head: str
    main_metric: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    untrained: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Any) -> "ModelSpec":
        """Describe a `PoseModule`.

        Raises:
            CheckpointError: A part does not keep an argument as an attribute, or it is not plain
                data.
        """
        own = {f.name: getattr(model, f.name) for f in fields(cls) if f.name != "backbone"}
        return cls(
            **own
            | {
                "backbone": parts.describe(model.network.backbone),
                "heads": {name: parts.describe(head) for name, head in model.heads.items()},
                "weighting": parts.describe(model.weighting),
                "metrics": {name: parts.describe(one) for name, one in model.metrics.items()},
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data, as stored in checkpoints."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain |= {"skeleton": self.skeleton.to_dict(), "input_spec": self.input_spec.to_dict()}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    @property
    def packages(self) -> set[str]:
        """The packages that contain the classes of its parts."""
        found = [self.backbone, self.weighting, *self.heads.values(), *self.metrics.values()]
        return {part["class_path"].split(".")[0] for part in found}

    def to_config(self) -> dict[str, Any]:
        """The spec in the form of a config's `model` key."""
        plain = self.to_dict()
        del plain["untrained"]
        heads = {name: parts.without_weight_sources(head) for name, head in self.heads.items()}
        return {**plain, "backbone": parts.without_weight_sources(self.backbone), "heads": heads}

    @classmethod
    def from_dict(cls, data: Any) -> "ModelSpec":
        """Read the plain data that `to_dict` writes.

        Args:
            data: The data, perhaps from a damaged or malicious file.

        Returns:
            The spec; its parts are not built.

        Raises:
            CheckpointError: A key is missing or unknown, or a value has the wrong form.
        """
        try:
            if set(data) != {f.name for f in fields(cls)}:
                raise ValueError(f"the keys {sorted(data)}")
            named = [*data["heads"].items(), *data["metrics"].items()]
            found = [data["backbone"], data["weighting"], *(part for _, part in named)]
            if not all(parts.is_part(part) for part in found):
                raise ValueError("a part without class_path and init_args")
            return cls(
                backbone=data["backbone"],
                heads=dict(data["heads"]),
                weighting=data["weighting"],
                metrics=dict(data["metrics"]),
                skeleton=Skeleton.from_dict(data["skeleton"]),
                input_spec=InputSpec.from_dict(data["input_spec"]),
                labels={str(name): list(map(str, c)) for name, c in data["labels"].items()},
                main_head=str(data["main_head"]),
                main_metric=None if data["main_metric"] is None else str(data["main_metric"]),
                mean=tuple(map(float, data["mean"])),
                std=tuple(map(float, data["std"])),
                untrained=tuple(map(str, data["untrained"])),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"Expected the spec of a model in the checkpoint, found it damaged ({error}); "
                "copy the file again."
            ) from error

    def build(self, kind: Callable[..., M], state: Mapping[str, Tensor]) -> M:
        """Rebuild the parts and the model, and load the weights.

        Args:
            kind: The model's class, which takes the fields of this spec except for `untrained`.
            state: Its state dict.

        Returns:
            The model.

        Raises:
            CheckpointError: A class is missing, is of the wrong kind, or rejects its arguments; or
                the weights do not fit.
        """
        self._check_shapes(state)
        arguments = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "untrained"}
        arguments |= {
            "backbone": parts.rebuild(self.backbone, Backbone),
            "heads": {name: parts.rebuild(head, Head) for name, head in self.heads.items()},
            "weighting": parts.rebuild(self.weighting, Weighting),
            "metrics": {n: parts.rebuild(metric, PoseMetric) for n, metric in self.metrics.items()},
        }
        try:
            model = kind(**arguments)
            model.load_state_dict(state)
        # Raised by layers whose sizes do not fit each other.
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise _misfit(" ".join(str(error).split())[:200]) from error
        return model

    def _check_shapes(self, state: Mapping[str, Tensor]) -> None:
        """Refuse settings that ask for other weights than there are, before taking memory."""
        # Tensors without storage; the packages that a caller allows need not know of them.
        if not self.packages <= {package.split(".")[0] for package in parts.TRUSTED}:
            return
        task = Task(self.skeleton, self.input_spec, self.labels)
        try:
            with torch.device("meta"):
                backbone = parts.rebuild(self.backbone, Backbone)
                heads = {name: parts.rebuild(head, Head) for name, head in self.heads.items()}
                network = PoseNetwork(backbone, heads, task, self.mean, self.std)
        # Some encoders look at the values of a tensor while they are built, which has none here.
        except (InputError, RuntimeError):
            return
        for name, value in network.state_dict().items():
            found = state.get(f"network.{name}")
            if found is None or found.shape != value.shape:
                shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
                raise _misfit(f"network.{name} of shape {tuple(value.shape)}, found {shape}")


def _misfit(reason: str) -> CheckpointError:
    return CheckpointError(
        f"Expected weights and settings that fit each other, found that they do not ({reason}); "
        "the checkpoint is damaged, copy it again."
    )
