"""Joint positions from stacked LSTMs that attend to cells of the dense map, one joint per step."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from lightning_pose.batch import Batch
from lightning_pose.codecs.masks import known_cells
from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec
from lightning_pose.geometry import from_unit, to_unit
from lightning_pose.heads.base import Head
from lightning_pose.heads.steps import check_order
from lightning_pose.losses.coordinates import mean_squared_error
from lightning_pose.losses.terms import LossTerms
from lightning_pose.prediction import Prediction, Target
from lightning_pose.task import Task

__all__ = ["AttentionLSTMHead"]

_Output = tuple[Float[Tensor, "B K 2"], Float[Tensor, "B S h w"]]


class AttentionLSTMHead(Head):
    """Predicts the joints one after the other with LSTMs that look at the dense map in each step.

    Each cell of the dense map is an annotation vector (Xu et al., ICML 2015,
    https://arxiv.org/abs/1502.03044, soft attention). In each step, a network with one hidden layer
    scores every annotation by the hidden state of the last LSTM, and a softmax over the cells of
    the image turns the scores into weights; padding gets none. The input of the step is the
    weighted mean of the annotations. A linear layer with a tanh computes the initial hidden and
    cell states of all LSTMs from the plain mean. The hidden state of the last LSTM is projected to
    the coordinates of that step's joint, normalised to [-1, 1] over the image without its padding.

    Loss and scores are those of `LSTMHead`. The memory that training needs grows with the number of
    cells times the number of joints: choose a backbone whose dense map is coarse.

    Args:
        hidden: Width of the hidden state of each LSTM.
        layers: How many LSTMs are stacked.
        attention: Width of the hidden layer that scores the annotations.
        order: The names of the joints in the order in which they are predicted; by default that of
            the skeleton.

    Raises:
        ConfigError: A number is less than 1. `build` refuses an order that does not name each joint
            once.
    """

    fills: ClassVar = ("keypoints", "scores", "attention")

    def __init__(
        self,
        hidden: int = 128,
        layers: int = 2,
        attention: int = 256,
        order: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("hidden", hidden), ("layers", layers), ("attention", attention)):
            if value < 1:
                raise ConfigError(
                    f"Expected AttentionLSTMHead.{name} of 1 or more, found {value}; correct the "
                    "head."
                )
        self.hidden = hidden
        self.layers = layers
        self.attention = attention
        self.order = None if order is None else list(order)

    @override
    def build(self, spec: FeatureSpec, task: Task) -> None:
        self.skeleton = task.skeleton
        self.stride = spec.dense.stride
        self.steps = check_order(self.order, self.skeleton.names, "AttentionLSTMHead")
        self.step_of_joint = [self.steps.index(name) for name in self.skeleton.names]
        width = spec.dense.channels
        self.start = nn.Linear(width, 2 * self.layers * self.hidden)
        self.key = nn.Linear(width, self.attention)
        self.query = nn.Linear(self.hidden, self.attention, bias=False)
        # A bias would add the same to all cells, which the softmax ignores.
        self.score = nn.Linear(self.attention, 1, bias=False)
        widths = [width, *[self.hidden] * (self.layers - 1)]
        self.cells = nn.ModuleList(nn.LSTMCell(before, self.hidden) for before in widths)
        self.point = nn.Linear(self.hidden, 2)

    @override
    def forward(self, features: Features) -> _Output:
        grid = (features.dense.shape[2], features.dense.shape[3])
        known = features.dense.new_ones(len(features.dense), *grid, dtype=torch.bool)
        if features.valid is not None:
            known = known_cells(features.valid, self.stride, grid)
        # The rounding of half precision would add up over the steps.
        with torch.autocast(features.dense.device.type, enabled=False):
            annotations = features.dense.float().flatten(2).transpose(1, 2)
            points, weights = self._unroll(annotations, known.flatten(1))
        return points[:, self.step_of_joint], weights.unflatten(2, grid)

    def _unroll(
        self, annotations: Float[Tensor, "B L C"], known: Bool[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B S 2"], Float[Tensor, "B S L"]]:
        """The coordinates and the weights of each step."""
        share = known / known.sum(dim=1, keepdim=True)
        mean = (share[:, None] @ annotations)[:, 0]
        state = self.start(mean).tanh().view(-1, 2, self.layers, self.hidden)
        hidden, memory = (list(each.unbind(dim=1)) for each in state.unbind(dim=1))
        keys = self.key(annotations)
        points, attention = [], []
        for _ in self.steps:
            scores = self.score((keys + self.query(hidden[-1])[:, None]).tanh())[..., 0]
            # A finite stand-in for minus infinity, whose softmax is exactly 0.
            weights = scores.masked_fill(~known, torch.finfo(torch.float32).min).softmax(dim=1)
            value = (weights[:, None] @ annotations)[:, 0]
            for layer, cell in enumerate(self.cells):
                hidden[layer], memory[layer] = cell(value, (hidden[layer], memory[layer]))
                value = hidden[layer]
            points.append(self.point(value))
            attention.append(weights)
        return torch.stack(points, dim=1), torch.stack(attention, dim=1)

    @override
    def encode(self, batch: Batch, output: _Output) -> Target:
        labelled = batch.labelled[..., None]
        value = to_unit(batch.keypoints, batch.input_size[:, None]).masked_fill(~labelled, 0)
        return Target(value, labelled.float())

    @override
    def loss(self, output: _Output, target: Target) -> LossTerms:
        points, _ = output
        # The mean counts x and y of each joint.
        return mean_squared_error(points, target.value, target.weight).times(2.0 * len(self.steps))

    @override
    def decode(self, output: _Output, size: tuple[int, int]) -> Prediction:
        points, weights = output
        keypoints = from_unit(points.float(), size)
        scores = torch.ones_like(keypoints[..., 0])
        return Prediction(keypoints=keypoints, scores=scores, attention=weights)

    @override
    def unflip(self, output: _Output) -> _Output:
        points, weights = output
        order = self.skeleton.flip_order
        # In the mirrored image, a joint was predicted in the step of its mirror image.
        joints = [self.skeleton.names.index(name) for name in self.steps]
        steps = [self.step_of_joint[order[joint]] for joint in joints]
        return points[:, order] * points.new_tensor([-1, 1]), weights.flip(-1)[:, steps]
