"""Joint positions from stacked LSTMs, one joint per step."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.float32 import in_float32
from lightning_pose.heads.coordinates import CoordinateHead
from lightning_pose.heads.steps import check_order
from lightning_pose.layers import Norm, activated, check_settings, init_weights
from lightning_pose.losses.coordinates import mean_squared_error
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Target
from lightning_pose.task import Task

__all__ = ["LSTMHead"]


class LSTMHead(CoordinateHead):
    """Predicts the joints one after the other with stacked LSTMs.

    Fully connected layers turn the flattened deep map into one vector per image. A linear layer
    with a tanh computes the initial hidden and cell states of all LSTMs from it, and it is the
    input of every step. In each step, one linear layer projects the hidden state of the last LSTM
    to the coordinates of that step's joint, normalised to [-1, 1] over the image.

    The loss is the squared distance of each joint summed over the steps, where unlabelled joints
    count as the mean of the labelled ones. A regressor has no confidence: every score is 1.

    Args:
        fully_connected: Widths of the fully connected layers, each with a ReLU.
        hidden: Width of the hidden state of each LSTM.
        layers: How many LSTMs are stacked.
        order: The names of the joints in the order in which they are predicted; by default that of
            the skeleton.
        norm: Batch norm "before" or "after" the ReLU of each fully connected layer; None for none.
        dropout: Dropout probability after each fully connected layer.

    Raises:
        ConfigError: A setting is out of range. `build` refuses an input without a fixed size, and
            an order that does not name each joint once.
    """

    def __init__(
        self,
        fully_connected: Sequence[int] = (4096, 4096),
        hidden: int = 128,
        layers: int = 2,
        order: Sequence[str] | None = None,
        norm: Norm | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min((hidden, layers, *fully_connected)) < 1:
            raise ConfigError(
                "Expected LSTMHead.fully_connected, hidden and layers of 1 or more, found "
                f"{list(fully_connected)}, {hidden} and {layers}; correct the head."
            )
        check_settings("LSTMHead", norm, "kaiming", [dropout])
        self.fully_connected = list(fully_connected)
        self.hidden = hidden
        self.layers = layers
        self.order = None if order is None else list(order)
        self.norm = norm
        self.dropout = dropout

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        if task.input_spec.size is None:
            raise ConfigError(
                "Expected an input of a fixed size for LSTMHead, whose first layer sees the whole "
                f"deep map, found short_side {task.input_spec.short_side}; set input_spec.size, or "
                "choose AttentionLSTMHead."
            )
        self.skeleton = task.skeleton
        self.steps = check_order(self.order, self.skeleton.names, "LSTMHead")
        self.step_of_joint = [self.steps.index(name) for name in self.skeleton.names]
        width = spec.deep.channels * spec.deep.height * spec.deep.width
        blocks: list[nn.Module] = []
        for before, after in zip(
            [width, *self.fully_connected], self.fully_connected, strict=False
        ):
            layer, batch_norm = nn.Linear(before, after), nn.BatchNorm1d(after)
            blocks += [*activated(layer, batch_norm, self.norm), nn.Dropout(self.dropout)]
            width = after
        self.vector = nn.Sequential(nn.Flatten(), *blocks)
        # As those of FullyConnectedHead, with which this head is compared.
        init_weights(self.vector, "kaiming")
        self.start = nn.Linear(width, 2 * self.layers * self.hidden)
        self.lstm = nn.LSTM(width, self.hidden, self.layers, batch_first=True)
        self.point = nn.Linear(self.hidden, 2)

    @override
    def forward(self, features: Features) -> Float[Tensor, "B K 2"]:
        has_norm = self.norm is not None and self.fully_connected
        if self.training and has_norm and len(features.deep) == 1:
            raise ConfigError(
                "Expected batches of 2 people or more for the batch norm of LSTMHead, found 1; "
                "raise data.batch_size, or set LSTMHead.norm to null."
            )
        # The rounding of half precision would add up over the steps.
        return in_float32(self._unroll, self.vector(features.deep))

    def _unroll(self, vector: Float[Tensor, "B F"]) -> Float[Tensor, "B K 2"]:
        """Run the LSTMs, and put the joints in the order of the skeleton."""
        state = self.start(vector).tanh().view(len(vector), 2, self.layers, self.hidden)
        hidden, cell = state.permute(1, 2, 0, 3).contiguous()
        inputs = vector[:, None].expand(-1, len(self.steps), -1)
        outputs, _ = self.lstm(inputs, (hidden, cell))
        points: Tensor = self.point(outputs)
        return points[:, self.step_of_joint]

    @override
    def loss(self, output: Float[Tensor, "B K 2"], target: Target) -> LossTerms:
        # The mean counts x and y of each joint.
        return mean_squared_error(output, target.value, target.weight).times(2.0 * len(self.steps))
