"""The task of a model: joints, input, and image-level labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import Skeleton

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """The task of a model, from which heads and metrics create their layers and states.

    Attributes:
        skeleton: The joints.
        input_spec: How an image becomes the network's input.
        labels: Image-level labels by name, with the names of their classes in the order of the
            class index; a label without classes is a number.
    """

    skeleton: Skeleton
    input_spec: InputSpec = field(default_factory=InputSpec)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
