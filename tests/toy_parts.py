"""Toy parts of future kinds, which show that the contract supports them."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from torchjd.aggregation import MGDAWeighting

from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch
from lightning_pose.codecs import encode_gaussian, known_cells
from lightning_pose.geometry import from_unit, to_grid, to_unit
from lightning_pose.heads import Head
from lightning_pose.losses import LossTerms, mean_absolute_error, weighted_sum
from lightning_pose.prediction import Prediction, Target
from lightning_pose.weightings import FixedWeighting, Weighting


def unit_target(batch: Batch) -> Target:
    labelled = batch.labelled[..., None]
    value = to_unit(batch.keypoints, batch.input_size[:, None]).masked_fill(~labelled, 0)
    return Target(value, labelled.float())


class RecurrentHead(Head):
    """One joint per step, each step with attention over the deep map; the output is a tuple."""

    fills = ("keypoints", "scores", "attention")

    def build(self, spec, task):
        self.skeleton = task.skeleton
        self.cell = nn.LSTMCell(spec.deep.channels, 8)
        self.query = nn.Linear(8, spec.deep.channels)
        self.point = nn.Linear(8, 2)

    def forward(self, features):
        annotations = features.deep.float().flatten(2).transpose(1, 2)
        state = [annotations.new_zeros(len(annotations), 8)] * 2
        points, attention = [], []
        for _ in self.skeleton.names:
            scores = (annotations * self.query(state[0])[:, None]).sum(dim=2)
            weights = scores.softmax(dim=1)
            state = self.cell((weights[..., None] * annotations).sum(dim=1), state)
            points.append(self.point(state[0]))
            attention.append(weights.view(-1, *features.deep.shape[2:]))
        return torch.stack(points, dim=1).float(), torch.stack(attention, dim=1).float()

    def encode(self, batch, output):
        return unit_target(batch)

    def loss(self, output, target):
        return mean_absolute_error(output[0], target.value, target.weight)

    def decode(self, output, size):
        points = from_unit(output[0], size)
        return Prediction(points, torch.ones_like(points[..., 0]), attention=output[1])

    def unflip(self, output):
        points = output[0][:, self.skeleton.flip_order] * output[0].new_tensor([-1, 1])
        return points, output[1].flip(-1)


class CascadeHead(Head):
    """A first estimate, and a correction from a patch of the image around it.

    The target of the correction depends on the estimate.
    """

    fills = ("keypoints", "scores")

    def build(self, spec, task):
        self.skeleton = task.skeleton
        joints = task.skeleton.num_joints
        self.first = nn.Linear(spec.deep.channels, 2 * joints)
        self.second = nn.Linear(3 * 4 * 4, 2)

    def forward(self, features):
        first = self.first(features.deep.float().mean(dim=(2, 3))).view(
            -1, self.skeleton.num_joints, 2
        )
        steps = torch.linspace(-0.2, 0.2, 4, device=first.device)
        window = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).flatten(0, 1)
        places = first.detach().clamp(-1, 1)[:, :, None] + window
        patches = F.grid_sample(features.image.float(), places, align_corners=False)
        return first, self.second(patches.permute(0, 2, 1, 3).flatten(2)).float()

    def encode(self, batch, output):
        truth = unit_target(batch)
        return truth, Target(truth.value - output[0].detach(), truth.weight)

    def loss(self, output, target):
        stages = zip(output, target, strict=True)
        return LossTerms.join(*(mean_absolute_error(o, t.value, t.weight) for o, t in stages))

    def decode(self, output, size):
        points = from_unit(output[0] + output[1], size)
        return Prediction(points, torch.ones_like(points[..., 0]))

    def unflip(self, output):
        order, sign = self.skeleton.flip_order, output[0].new_tensor([-1, 1])
        return tuple(one[:, order] * sign for one in output)


class ClassHead(Head):
    """The class of an image-level label; -1 is unknown."""

    fills = ("probabilities",)

    def __init__(self, label="activity"):
        super().__init__()
        self.label = label

    def build(self, spec, task):
        self.layer = nn.Linear(spec.deep.channels, len(task.labels[self.label]))

    def forward(self, features):
        return self.layer(features.deep.float().mean(dim=(2, 3))).float()

    def encode(self, batch, output):
        value = batch.labels[self.label]
        return Target(value.clamp_min(0), (value >= 0).float())

    def loss(self, output, target):
        entropy = F.cross_entropy(output, target.value, reduction="none")
        return weighted_sum(entropy, target.weight)

    def decode(self, output, size):
        return Prediction(probabilities=output.softmax(dim=1))

    def unflip(self, output):
        return output


class ScalarHead(Head):
    """A number such as the height of a person; NaN is unknown."""

    fills = ("value",)

    def __init__(self, label="height"):
        super().__init__()
        self.label = label

    def build(self, spec, task):
        assert not task.labels[self.label], "a number has no classes"
        self.layer = nn.Linear(spec.deep.channels, 1)

    def forward(self, features):
        return self.layer(features.deep.float().mean(dim=(2, 3)))[:, 0].float()

    def encode(self, batch, output):
        value = batch.labels[self.label]
        return Target(value.nan_to_num(), value.isfinite().float())

    def loss(self, output, target):
        return weighted_sum((output - target.value).square(), target.weight)

    def decode(self, output, size):
        return Prediction(value=output)

    def unflip(self, output):
        return output


class OneChannelHead(Head):
    """One heatmap in which every joint is a peak."""

    fills = ("heatmap",)

    def __init__(self, sigma=4.0):
        super().__init__()
        self.sigma = sigma

    def build(self, spec, task):
        self.stride = spec.dense.stride
        self.layer = nn.Conv2d(spec.dense.channels, 1, kernel_size=1)

    def forward(self, features):
        return self.layer(features.dense)

    def encode(self, batch, output):
        grid = (output.shape[2], output.shape[3])
        points = to_grid(batch.keypoints, self.stride)
        maps = encode_gaussian(points, grid, self.sigma / self.stride)
        maps = maps * batch.labelled[..., None, None]
        known = known_cells(batch.valid, self.stride, grid)[:, None].float()
        known = known * batch.labelled.any(dim=1)[:, None, None, None]
        return Target(maps.amax(dim=1, keepdim=True), known)

    def loss(self, output, target):
        return weighted_sum((output.float() - target.value).square(), target.weight)

    def decode(self, output, size):
        return Prediction(heatmap=output.float())

    def unflip(self, output):
        return output.flip(-1)


class TwoStageHead(OneChannelHead):
    """The same map at two stages, the earlier one from an `aux` map: intermediate supervision."""

    def build(self, spec, task):
        super().build(spec, task)
        self.early = nn.Conv2d(spec.aux[0].channels, 1, kernel_size=1)

    def forward(self, features):
        return self.early(features.aux[0]), self.layer(features.dense)

    def encode(self, batch, output):
        return tuple(super(TwoStageHead, self).encode(batch, one) for one in output)

    def loss(self, output, target):
        stages = zip(output, target, strict=True)
        return LossTerms.join(*(super(TwoStageHead, self).loss(o, t) for o, t in stages))

    def decode(self, output, size):
        return super().decode(output[-1], size)

    def unflip(self, output):
        return tuple(one.flip(-1) for one in output)


class AuxBackbone(UNet):
    """A U-Net that shows its dense map twice, as a network of several stages would."""

    def forward(self, image):
        features = super().forward(image)
        return replace(features, aux=(features.dense * 0.5,))


class GramianWeighting(Weighting):
    """Weights from the inner products of the heads' gradients, as in MGDA."""

    def build(self, head_names):
        self.head_names = list(head_names)
        self.solve = MGDAWeighting()
        self.register_buffer("present", torch.ones(len(self.head_names)))

    def observe(self, step):
        self.gram = step.gramian()
        self.present = self.solve(self.gram)

    def forward(self, losses):
        return (torch.stack([losses[name] for name in self.head_names]) * self.present).sum()

    def head_weights(self):
        return dict(zip(self.head_names, self.present, strict=True))


class UncertaintyWeighting(Weighting):
    """Learnt weights: exp(-s) L + s per head (Kendall et al. 2018, in short form)."""

    def build(self, head_names):
        self.logs = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in head_names})

    def forward(self, losses):
        return sum(
            torch.exp(-self.logs[name]) * loss + self.logs[name] for name, loss in losses.items()
        )

    def head_weights(self):
        return {name: torch.exp(-log.detach()) for name, log in self.logs.items()}


class OwnBackwardWeighting(FixedWeighting):
    """Has its own backward pass, which doubles the gradients of the backbone."""

    own_backward = True

    def backward(self, total, step, shared):
        total.backward()
        for parameter in shared:
            parameter.grad *= 2
