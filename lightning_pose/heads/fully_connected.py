"""Joint positions as regressed coordinates, by fully connected layers on the whole map."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.heads.coordinates import CoordinateHead
from lightning_pose.layers import Init, Norm, activated, check_settings, init_weights
from lightning_pose.losses.coordinates import mean_absolute_error, mean_squared_error
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Target
from lightning_pose.task import Task

__all__ = ["FullyConnectedHead"]

Criterion = Literal["mse", "l1"]


class FullyConnectedHead(CoordinateHead):
    """Predicts the coordinates of the joints by fully connected layers on the flattened deep map.

    This is the classifier of AlexNet and VGG, with coordinates in place of classes, as in DeepPose
    (Toshev and Szegedy, 2014, https://arxiv.org/abs/1312.4659). It has one weight for each cell of
    the map and each hidden unit, and so one input size; `RegressionHead` is smaller and takes any
    size.

    Coordinates are normalised to [-1, 1] over the image. A regressor has no confidence: every score
    is 1.

    Args:
        hidden: The widths of the hidden layers, each followed by a ReLU; a linear layer to the
            coordinates follows them.
        norm: Batch norm before or after each ReLU; None for no batch norm.
        dropout: The dropout probability after each hidden layer.
        criterion: The loss is the mean squared error of the coordinates ("mse"), or their mean
            absolute error ("l1").
        init: How weights start. With "kaiming", the initial prediction is the centre of the image;
            "xavier" applies to the last layer too.

    Raises:
        ConfigError: A setting is out of range. `build` refuses an input without a fixed size, and
            `forward` a training batch of one person, which batch norm cannot normalise.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (4096, 4096),
        norm: Norm | None = "before",
        dropout: float = 0.0,
        criterion: Criterion = "mse",
        init: Init = "kaiming",
    ) -> None:
        super().__init__()
        if min(hidden, default=1) < 1:
            raise ConfigError(
                "Expected FullyConnectedHead.hidden with layers of 1 unit or more, found "
                f"{list(hidden)}; correct the head."
            )
        if criterion not in get_args(Criterion):
            raise ConfigError(
                "Expected FullyConnectedHead.criterion to be one of "
                f"{list(get_args(Criterion))}, found {criterion!r}; choose one of them."
            )
        check_settings("FullyConnectedHead", norm, init, [dropout])
        self.hidden = hidden
        self.norm = norm
        self.dropout = dropout
        self.criterion = criterion
        self.init = init

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        if task.input_spec.size is None:
            raise ConfigError(
                "Expected input_spec.size for FullyConnectedHead, whose layers fit one size, found "
                f"short_side {task.input_spec.short_side}; set a size, or choose RegressionHead."
            )
        self.skeleton = task.skeleton
        width = spec.deep.channels * spec.deep.height * spec.deep.width
        layers: list[nn.Module] = [nn.Flatten()]
        for units in self.hidden:
            layers += activated(nn.Linear(width, units), nn.BatchNorm1d(units), self.norm)
            layers.append(nn.Dropout(self.dropout))
            width = units
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(width, 2 * self.skeleton.num_joints)
        init_weights(self, self.init)
        if self.init == "kaiming":
            nn.init.normal_(self.last.weight, std=0.001)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B K 2"]:
        if self.training and self.norm and self.hidden and len(features.deep) == 1:
            raise ConfigError(
                "Expected 2 people or more in a training batch for the batch norm of "
                "FullyConnectedHead, found 1; raise data.batch_size, or set norm to null."
            )
        coordinates = in_float32(self.last, self.layers(features.deep))
        return coordinates.view(-1, self.skeleton.num_joints, 2)

    @override
    def loss(self, output: Float[Tensor, "B K 2"], target: Target) -> LossTerms:
        compare = mean_squared_error if self.criterion == "mse" else mean_absolute_error
        return compare(output, target.value, target.weight)

    @override
    def joint_rows(self) -> Mapping[str, Sequence[str]]:
        rows = [f"{name}.{axis}" for name in self.skeleton.names for axis in "xy"]
        return {"last.weight": rows, "last.bias": rows}
